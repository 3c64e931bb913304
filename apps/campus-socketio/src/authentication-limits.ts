import { LRUCache } from 'lru-cache'

export const WINDOW_MS = 60_000
/** A device with a wrong key comes back again and again: it must not lock out the others of its school. */
export const FAILURES_PER_DEVICE_MAX = 6
export const FAILURES_PER_ADDRESS_MAX = 120
const REMEMBERED_MAX = 50_000

interface Count {
  failures: number
  readonly sinceMs: number
}

/**
 * How often authentication may fail within a minute, for one device from one address and for an address. A device
 * that has authenticated from an address before is not kept out for what others there do. `nowMs` is monotonic.
 */
export class AuthenticationLimits {
  readonly #failures = new LRUCache<string, Count>({ max: REMEMBERED_MAX })
  readonly #authenticated = new LRUCache<string, true>({ max: REMEMBERED_MAX })

  allows(address: string, serialNo: string, nowMs: number): boolean {
    const device = `${address} ${serialNo}`
    if (this.#count(device, nowMs) >= FAILURES_PER_DEVICE_MAX) return false
    return this.#authenticated.has(device) || this.#count(address, nowMs) < FAILURES_PER_ADDRESS_MAX
  }

  failed(address: string, serialNo: string, nowMs: number): void {
    for (const name of [`${address} ${serialNo}`, address]) {
      const count = this.#failures.get(name)
      if (count === undefined || nowMs - count.sinceMs > WINDOW_MS)
        this.#failures.set(name, { failures: 1, sinceMs: nowMs })
      else count.failures += 1
    }
  }

  authenticated(address: string, serialNo: string): void {
    this.#authenticated.set(`${address} ${serialNo}`, true)
  }

  #count(name: string, nowMs: number): number {
    const count = this.#failures.get(name)
    return count === undefined || nowMs - count.sinceMs > WINDOW_MS ? 0 : count.failures
  }
}
