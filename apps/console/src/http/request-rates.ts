import { RateLimit } from '@carillon/gateway'
import { LRUCache } from 'lru-cache'

/** So many a second, over a burst. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

const KEYS_MAX = 10_000

/** How often each of many may do something: users, addresses. Who was seen longest ago is forgotten first. */
export class RequestRates {
  readonly #limits: { readonly framesPerSecondMax: number; readonly framesBurstMax: number }
  readonly #buckets = new LRUCache<string, RateLimit>({ max: KEYS_MAX })
  readonly #monotonic: () => number

  constructor({ perSecond, burst }: Rate, monotonic: () => number) {
    this.#limits = { framesPerSecondMax: perSecond, framesBurstMax: burst }
    this.#monotonic = monotonic
  }

  take(key: string): boolean {
    const now = this.#monotonic()
    let bucket = this.#buckets.get(key)
    if (bucket === undefined) {
      bucket = new RateLimit(this.#limits.framesBurstMax, now)
      this.#buckets.set(key, bucket)
    }
    return bucket.take(this.#limits, now)
  }
}
