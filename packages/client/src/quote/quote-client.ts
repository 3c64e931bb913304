import { Client, type ClientOptions, type ConnectionEvents } from '../core/client.ts'
import { ClientError } from '../core/errors.ts'
import { EventStream, type StreamOptions } from '../core/event-stream.ts'
import { isObject, parseObject } from '../core/json.ts'
import { Pace } from '../core/pace.ts'
import { type ChloeItem, type Market, type MarketKind, type Quote, quoteCloseCodes } from './quote.ts'

export interface QuoteEvents extends ConnectionEvents {
  readonly quote: Quote
}

export interface QuoteOptions extends ClientOptions {
  /** A market is asked for again before the server lets go of it. Default: half an hour, half of the server's time. */
  readonly renewalMs?: number
}

interface Sink {
  push(value: unknown): void
  end(error?: ClientError): void
}

interface Followed extends Market {
  /** Asked for by `follow`, and not only by streams. */
  explicit: boolean
  readonly streams: Set<Sink>
}

const keyOf = ({ kind, eventId, marketId }: Market) => `${kind}#${eventId}@${marketId}`
const types: Readonly<Record<string, MarketKind>> = { 'order-slip': 'chloe', 'order-slip-fancy': 'fancy' }

/** `alive` comes every 15 s: after three of them the connection is taken for dead. */
const SILENCE_MS = 50_000
/** Below the server's 200 a second. */
const [PER_SECOND, BURST] = [150, 500]

/** Market quotes: the newest quote of each market that is followed, also after a reconnect. */
export class QuoteClient extends Client<QuoteEvents> {
  readonly #followed = new Map<string, Followed>()
  readonly #renewalMs: number
  readonly #pace = new Pace(PER_SECOND, BURST)
  /** What is to be sent, in order, each once. */
  readonly #outgoing = new Set<string>()
  #paused = false
  #sendTimer: ReturnType<typeof setTimeout> | undefined
  #renewalTimer: ReturnType<typeof setTimeout> | undefined

  constructor(options: QuoteOptions) {
    super(options, { service: 'quote', closeCodes: quoteCloseCodes })
    this.#renewalMs = options.renewalMs ?? 1_800_000
  }

  /** Follows a market until {@link unfollow}; `on('quote', …)` gets its last known quote and every change. */
  follow(market: Market): void {
    this.#obtain(market).explicit = true
    this.#request(market)
  }

  /** Lets go of a market, and ends its iterators. */
  unfollow(market: Market): void {
    const followed = this.#followed.get(keyOf(market))
    if (followed) this.#forget(followed)
  }

  /**
   * The quotes of one market, for a `for await` loop; followed as long as it runs. A loop that is slower than the market
   * gets the newest one, unless `capacity` is more than 1.
   */
  quotes<K extends MarketKind>(
    market: Market & { readonly kind: K },
    options: StreamOptions = {},
  ): EventStream<Quote<K>> {
    const followed = this.#obtain(market)
    const stream = new EventStream<Quote<K>>({ capacity: 1, ...options }, () => {
      followed.streams.delete(stream)
      const unused = followed.streams.size === 0 && !followed.explicit
      if (unused && this.#followed.get(keyOf(market)) === followed) this.#forget(followed)
    })
    followed.streams.add(stream)
    this.#request(market)
    return stream
  }

  /** The server holds quotes back until {@link resume}. */
  pause(): void {
    this.#setPaused(true)
  }

  /** The newest quote of every market that changed meanwhile comes, then every change. */
  resume(): void {
    this.#setPaused(false)
  }

  protected override url(base: string, token: string): string {
    return `${base}/quote/do-not-look-back?authorization=bearer%20${encodeURIComponent(token)}`
  }

  protected override opened(): void {
    this.ready()
    if (this.#paused) this.#command('stop')
    this.#renew()
  }

  protected override lost(): void {
    clearTimeout(this.#sendTimer)
    clearTimeout(this.#renewalTimer)
    this.#outgoing.clear()
  }

  protected override ended(error: ClientError | undefined): void {
    for (const each of [...this.#followed.values()]) this.#forget(each, error)
  }

  protected override silenceMs(): number {
    return SILENCE_MS
  }

  protected override received(frame: string | Uint8Array): void {
    const message = typeof frame === 'string' ? parseObject(frame) : undefined
    const { type, data, error } = message ?? {}
    if (type === 'alive') return
    if (type === 'error') return this.fail('refused', String(error))
    const kind = types[String(type)]
    if (kind === undefined || !Array.isArray(data) || !data.every(isObject)) {
      return this.fail('malformed_frame', 'the frame is no message of quote-interact')
    }
    for (const market of this.#marketsOf(kind, data[0])) {
      const { eventId, marketId, streams } = market
      const quote = { kind, eventId, marketId, items: data } as unknown as Quote
      this.emit('quote', quote)
      for (const stream of [...streams]) stream.push(quote)
    }
  }

  /** A fancy market's items do not say of which event it is: those that are followed by its id are meant. */
  *#marketsOf(kind: MarketKind, item: Record<string, unknown> | undefined): Iterable<Followed> {
    if (item === undefined) return
    if (kind === 'chloe') {
      const { event_id: eventId, market_id: marketId } = item as unknown as ChloeItem
      const market = this.#followed.get(keyOf({ kind, eventId, marketId }))
      if (market) yield market
    } else {
      for (const market of [...this.#followed.values()]) {
        if (market.kind === kind && market.marketId === item.mid) yield market
      }
    }
  }

  #obtain(market: Market): Followed {
    const { kind, eventId, marketId } = market
    for (const id of [eventId, marketId]) {
      if (!id || id.length > 256 || /[#@]/.test(id))
        throw new ClientError('invalid_argument', `no market's id: ${id}`)
    }
    if (this.state.type === 'closed') throw new ClientError('closed', 'the client is closed')
    const followed = this.#followed.get(keyOf(market)) ?? {
      kind,
      eventId,
      marketId,
      explicit: false,
      streams: new Set(),
    }
    this.#followed.set(keyOf(market), followed)
    return followed
  }

  #forget(followed: Followed, error?: ClientError): void {
    this.#followed.delete(keyOf(followed))
    for (const stream of [...followed.streams]) stream.end(error)
    const { kind, eventId, marketId } = followed
    this.#command(`unsubscribe-order-slip-quote#${eventId}@${marketId}`)
    // That lets go of both kinds.
    const other = { kind: kind === 'chloe' ? ('fancy' as const) : ('chloe' as const), eventId, marketId }
    if (this.#followed.has(keyOf(other))) this.#request(other)
  }

  /** The server lets go of a market some time after its last request. */
  #renew(): void {
    for (const each of this.#followed.values()) this.#request(each)
    this.#renewalTimer = setTimeout(() => this.#renew(), this.#renewalMs)
  }

  #request({ kind, eventId, marketId }: Market): void {
    this.#command(`order-slip-quote@${kind}-market#${eventId}@${marketId}`)
  }

  #setPaused(paused: boolean): void {
    this.#paused = paused
    this.#outgoing.delete(paused ? 'start' : 'stop')
    this.#command(paused ? 'stop' : 'start')
  }

  #command(commend: string): void {
    if (this.state.type !== 'open') return
    this.#outgoing.delete(commend)
    this.#outgoing.add(commend)
    this.#send()
  }

  #send(): void {
    clearTimeout(this.#sendTimer)
    for (const commend of this.#outgoing) {
      let delayMs = this.#pace.take(performance.now())
      if (delayMs === 0) {
        try {
          this.send(JSON.stringify({ commend }))
          this.#outgoing.delete(commend)
          continue
        } catch {
          delayMs = 1_000
        }
      }
      this.#sendTimer = setTimeout(() => this.#send(), delayMs)
      return
    }
  }
}
