import { RateLimit } from '@carillon/gateway'
import { LRUCache } from 'lru-cache'

/** More addresses than this at a time, and the one that was silent longest begins anew. */
const ADDRESSES_MAX = 20_000

/** A token bucket for each address or other name, within bounded memory. */
export class RateLimits {
  readonly #limits: { readonly framesPerSecondMax: number; readonly framesBurstMax: number }
  readonly #byName = new LRUCache<string, RateLimit>({ max: ADDRESSES_MAX })

  constructor(options: { readonly perSecondMax: number; readonly burstMax: number }) {
    this.#limits = { framesPerSecondMax: options.perSecondMax, framesBurstMax: options.burstMax }
  }

  /** Takes one token; answers false where there is none. `nowMs` is monotonic. */
  take(name: string, nowMs: number): boolean {
    let limit = this.#byName.get(name)
    if (limit === undefined) {
      limit = new RateLimit(this.#limits.framesBurstMax, nowMs)
      this.#byName.set(name, limit)
    }
    return limit.take(this.#limits, nowMs)
  }
}
