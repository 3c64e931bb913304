import { Client, type ClientOptions, type ConnectionEvents } from '../core/client.ts'
import { ClientError } from '../core/errors.ts'
import { EventStream, type StreamOptions } from '../core/event-stream.ts'
import { isObject, parseObject } from '../core/json.ts'
import {
  type AuctionEvent,
  type AuctionPayloads,
  auctionCloseCodes,
  type Bid,
  type DelayCloseTime,
  type Enter,
  type Finish,
} from './auction.ts'
import { CommandQueue, type Refusal } from './command-queue.ts'

export interface SubscribeOptions {
  /** Lets go of the other auctions of the same event. */
  readonly single?: boolean
  /** Sends the last message of the event first, if there is one. */
  readonly recover?: boolean
}

export interface FollowOptions extends StreamOptions {
  readonly recover?: boolean
}

export interface AuctionEvents extends ConnectionEvents, AuctionPayloads {}

interface Sink {
  push(value: unknown): void
  end(error?: ClientError): void
}

interface Subscription {
  readonly event: AuctionEvent
  readonly auctionId: string
  /** Asked for by `subscribe`, and not only by streams. */
  explicit: boolean
  readonly streams: Set<Sink>
  /** Those who wait for the server's answer. */
  readonly waiting: Set<(error?: ClientError) => void>
  /** The last message is to be sent with the server's answer: as it was asked for, or after a loss. */
  recover: boolean
  /** The last message that came, as it came. */
  last: string | undefined
  /** What was last before the connection was lost: recovery may bring it again. */
  beforeLoss: string | undefined
}

const topicOf = (event: string, auctionId: string | number) => `${event}.${auctionId}`

/** Well within the time after which the server takes a silent client for gone. */
const HEARTBEAT_MS = 10_000
/** Every heartbeat is answered; what waits for the server's broker is answered when that is back. */
const [SILENCE_MS, SILENCE_WHILE_WAITING_MS] = [25_000, 60_000]

/** Live auction events. Subscriptions are kept over reconnects, and what was missed last is fetched. */
export class AuctionClient extends Client<AuctionEvents> {
  readonly #subscriptions = new Map<string, Subscription>()
  readonly #commands = new CommandQueue((frame) => this.send(frame))

  constructor(options: ClientOptions) {
    super(options, { service: 'auction', closeCodes: auctionCloseCodes })
  }

  /**
   * Follows an event of an auction; `on(event, …)` gets what comes. Settles when the server has promised it, also
   * after a reconnect. @throws {ClientError} with the server's code, such as `too_many_subscriptions`, or `closed`
   */
  subscribe(event: AuctionEvent, auctionId: string | number, options: SubscribeOptions = {}): Promise<void> {
    const replaced = options.single
      ? [...this.#subscriptions.values()].filter(
          (each) => each.event === event && each.auctionId !== String(auctionId),
        )
      : []
    for (const each of replaced) this.#forget(each)
    const subscription = this.#obtain(event, auctionId)
    subscription.explicit = true
    return new Promise((resolve, reject) => {
      const settle = (error?: ClientError) => (error ? reject(error) : resolve())
      subscription.waiting.add(settle)
      this.#request(subscription, options, () => {
        // The server has not replaced them: they are let go of one by one.
        for (const each of replaced)
          if (!this.#subscriptions.has(topicOf(each.event, each.auctionId))) this.#cancel(each)
      })
    })
  }

  /** Ends a subscription, and the iterators of it. Settles when the server has done so, or the connection is gone. */
  unsubscribe(event: AuctionEvent, auctionId: string | number): Promise<void> {
    const subscription = this.#subscriptions.get(topicOf(event, auctionId))
    if (subscription === undefined) return Promise.resolve()
    this.#forget(subscription)
    return new Promise((resolve) => this.#cancel(subscription, resolve))
  }

  /** The messages of one event of one auction, for a `for await` loop; subscribed to as long as it runs. */
  follow<E extends AuctionEvent>(
    event: E,
    auctionId: string | number,
    { recover, ...options }: FollowOptions = {},
  ): EventStream<AuctionPayloads[E]> {
    const subscription = this.#obtain(event, auctionId)
    const stream = new EventStream<AuctionPayloads[E]>(options, () => {
      subscription.streams.delete(stream)
      const unused = subscription.streams.size === 0 && !subscription.explicit
      if (unused && this.#isCurrent(subscription)) void this.unsubscribe(event, auctionId)
    })
    subscription.streams.add(stream)
    this.#request(subscription, { recover: recover ?? false })
    return stream
  }

  bids(auctionId: string | number, options?: FollowOptions): EventStream<Bid> {
    return this.follow('bid', auctionId, options)
  }

  closeTimes(auctionId: string | number, options?: FollowOptions): EventStream<DelayCloseTime> {
    return this.follow('delay_close_time', auctionId, options)
  }

  finishes(auctionId: string | number, options?: FollowOptions): EventStream<Finish> {
    return this.follow('finish', auctionId, options)
  }

  entries(auctionId: string | number, options?: FollowOptions): EventStream<Enter> {
    return this.follow('enter', auctionId, options)
  }

  protected override url(base: string, token: string): string {
    return `${base}/ws/${token}`
  }

  protected override opened(): void {
    this.ready()
    for (const each of this.#subscriptions.values()) this.#request(each, {})
  }

  protected override lost(): void {
    for (const command of this.#commands.clear()) command.answered?.({ code: 'lost', message: '' })
    // What was missed last is fetched; the same message as before is passed over.
    for (const each of this.#subscriptions.values()) each.beforeLoss = each.last
  }

  protected override ended(error: ClientError | undefined): void {
    for (const each of [...this.#subscriptions.values()]) this.#forget(each, error)
  }

  protected override silenceMs(): number {
    return this.#commands.waits ? SILENCE_WHILE_WAITING_MS : SILENCE_MS
  }

  protected override heartbeatMs(): number {
    return HEARTBEAT_MS
  }

  /** The server wants data from its clients; a cancel of what is not followed changes nothing and is answered. */
  protected override heartbeat(): void {
    const key = this.#subscriptions.has(topicOf('finish', 0))
      ? 'auction_subscribe'
      : 'auction_cancel_subscribe'
    this.#commands.add({ frame: JSON.stringify({ key, data: { event: 'finish', auctionId: '0' } }) })
  }

  protected override received(frame: string | Uint8Array): void {
    if (frame === 'success') return this.#commands.answered()
    const message = typeof frame === 'string' ? parseObject(frame) : undefined
    if (message === undefined || !isObject(message.data)) {
      return this.fail('malformed_frame', 'the frame is no message of auction-push')
    }
    const { event, data } = message
    if (event === 'error') return this.#refused(data)
    const subscription = this.#subscriptions.get(topicOf(String(event), String(data.auctionId)))
    // One that was cancelled may still be on its way.
    if (subscription === undefined) return
    const { beforeLoss } = subscription
    subscription.beforeLoss = undefined
    subscription.last = frame as string
    if (beforeLoss === frame) return
    const payload = data as unknown as AuctionPayloads[AuctionEvent]
    this.emit(subscription.event, payload as never)
    for (const stream of [...subscription.streams]) stream.push(payload)
  }

  #refused({ code, message }: Record<string, unknown>): void {
    const refusal: Refusal = { code: String(code), message: String(message) }
    this.fail(refusal.code, refusal.message)
    if (code === 'rate_limited') this.#commands.rateLimited()
    else this.#commands.answered(refusal)
  }

  #obtain(event: AuctionEvent, auctionId: string | number): Subscription {
    const id = String(auctionId)
    if (!/^(0|[1-9]\d{0,15})$/.test(id)) throw new ClientError('invalid_argument', `no auction's id: ${id}`)
    const topic = topicOf(event, id)
    const known = this.#subscriptions.get(topic)
    if (known) return known
    if (this.state.type === 'closed') throw new ClientError('closed', 'the client is closed')
    const subscription: Subscription = {
      event,
      auctionId: id,
      explicit: false,
      streams: new Set(),
      waiting: new Set(),
      recover: false,
      last: undefined,
      beforeLoss: undefined,
    }
    this.#subscriptions.set(topic, subscription)
    return subscription
  }

  /** Sends it, if there is a connection: all of them are sent when there is one. */
  #request(subscription: Subscription, options: SubscribeOptions, refused?: () => void): void {
    const { single = false, recover = subscription.recover } = options
    subscription.recover = recover
    if (this.state.type !== 'open') return
    const { event, auctionId } = subscription
    const data = { event, auctionId, single, ...(recover && { recover }) }
    this.#commands.add({
      frame: JSON.stringify({ key: 'auction_subscribe', data }),
      answered: (refusal) => {
        if (!this.#isCurrent(subscription) || refusal?.code === 'lost') return
        if (refusal === undefined) {
          subscription.recover = true
          for (const settle of subscription.waiting) settle()
          return subscription.waiting.clear()
        }
        refused?.()
        this.#forget(subscription, new ClientError(refusal.code, refusal.message))
      },
    })
  }

  #cancel({ event, auctionId }: Subscription, done: () => void = () => {}): void {
    if (this.state.type !== 'open') return done()
    const frame = JSON.stringify({
      key: 'auction_cancel_subscribe',
      data: { event, auctionId, single: false },
    })
    this.#commands.add({ frame, answered: done })
  }

  #isCurrent(subscription: Subscription): boolean {
    const { event, auctionId } = subscription
    return this.#subscriptions.get(topicOf(event, auctionId)) === subscription
  }

  /** Whoever waits for it is told that it will not be. */
  #forget(subscription: Subscription, error?: ClientError): void {
    this.#subscriptions.delete(topicOf(subscription.event, subscription.auctionId))
    const over = error ?? new ClientError('closed', 'the subscription was ended')
    for (const settle of subscription.waiting) settle(over)
    for (const stream of [...subscription.streams]) stream.end(error)
  }
}
