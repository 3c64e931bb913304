import type { Msg, NatsConnection, Subscription as NatsSubscription } from '@nats-io/transport-node'
import type { Connection } from './connection.ts'
import { abortController, delay } from './delay.ts'

export interface Subscription {
  /** Takes nothing more, at once: what is on its way here is lost. */
  unsubscribe(): void
  /**
   * Takes nothing more. Resolves when all that NATS had given to this subscription is handled, with its answers on
   * their way where it is served, and after the time in any case.
   */
  drain(timeoutMs: number): Promise<void>
  /**
   * Undefined once the server has confirmed the subscription: what is published from then on is delivered. Until
   * then a promise of that, which waits as long as NATS is away.
   */
  readonly confirmed: Promise<void> | undefined
}

/** A promise is waited for where the subscription is drained. */
type Handle = (message: Msg) => void | Promise<void>

/** What becomes confirmed together, by one round-trip. */
class Confirmation {
  readonly promise: Promise<void>
  done = false
  #resolve: () => void = () => {}

  constructor() {
    this.promise = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  resolve(): void {
    this.done = true
    this.#resolve()
  }
}

/**
 * What this process is subscribed to, whatever connection there is: everything is subscribed to again on each new
 * one. Subscriptions that are made in one tick of the event loop are confirmed by one round-trip.
 */
export class Subscriptions {
  readonly #connection: Connection
  readonly #subscriptions = new Set<PendingSubscription>()
  /** Of the subscriptions made in this tick. */
  #next: Confirmation | undefined
  /** Under way to the server. */
  readonly #asked = new Set<Confirmation>()
  /** Of everything, while NATS is away and until it has confirmed everything again. */
  #outage: Confirmation | undefined = new Confirmation()

  constructor(connection: Connection) {
    this.#connection = connection
    connection.onChange((connected) => (connected ? this.#openAll() : this.#lost()))
  }

  /** Delivers raw messages. A handler that throws is reported, and harms nobody else. */
  open(subject: string, queue: string | undefined, handle: Handle): Subscription {
    const subscription = new PendingSubscription(this, subject, queue, handle)
    this.#subscriptions.add(subscription)
    const { nats } = this.#connection
    if (nats === undefined) this.#outage ??= new Confirmation()
    else {
      subscription.open(nats)
      subscription.confirmation = this.#sharedConfirmation()
    }
    return subscription
  }

  /** When a subscription of this confirmation can be relied upon. */
  confirmed(confirmation: Confirmation | undefined): Promise<void> | undefined {
    if (confirmation !== undefined && !confirmation.done) return confirmation.promise
    return this.#outage?.promise
  }

  close(subscription: PendingSubscription): void {
    this.#subscriptions.delete(subscription)
  }

  failed(subject: string, error: unknown): void {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#connection.log.error({ subject, reason }, 'handling a message failed')
  }

  #openAll(): void {
    const { nats } = this.#connection
    if (nats === undefined) return
    for (const subscription of this.#subscriptions) {
      subscription.open(nats)
      subscription.confirmation = undefined
    }
    const outage = this.#outage
    if (outage === undefined) return
    this.#ask(nats, () => {
      this.#outage = undefined
      outage.resolve()
    })
  }

  #lost(): void {
    const outage = new Confirmation()
    // What waited for an earlier one, or for an answer that does not come now, waits for this one.
    for (const waiting of [this.#outage, this.#next, ...this.#asked]) {
      if (waiting) void outage.promise.then(() => waiting.resolve())
    }
    this.#asked.clear()
    this.#next = undefined
    this.#outage = outage
  }

  #sharedConfirmation(): Confirmation {
    if (this.#next !== undefined) return this.#next
    const confirmation = new Confirmation()
    this.#next = confirmation
    setImmediate(() => {
      if (this.#next !== confirmation) return
      this.#next = undefined
      const { nats } = this.#connection
      if (nats === undefined) return
      this.#asked.add(confirmation)
      this.#ask(nats, () => {
        if (this.#asked.delete(confirmation)) confirmation.resolve()
      })
    })
    return confirmation
  }

  /** Calls back when the server has seen everything sent so far, if this connection lives until then. */
  #ask(nats: NatsConnection, answered: () => void): void {
    nats.flush().then(
      () => {
        if (this.#connection.nats === nats) answered()
      },
      () => {},
    )
  }
}

/** A subscription that may have to wait for a connection. */
class PendingSubscription implements Subscription {
  readonly #owner: Subscriptions
  readonly #subject: string
  readonly #queue: string | undefined
  readonly #handle: Handle
  #subscription: NatsSubscription | undefined
  /** Only while there is something: an empty set for each subscription would be a tenth of its memory. */
  #underWay: Set<Promise<void>> | undefined
  confirmation: Confirmation | undefined

  constructor(owner: Subscriptions, subject: string, queue: string | undefined, handle: Handle) {
    this.#owner = owner
    this.#subject = subject
    this.#queue = queue
    this.#handle = handle
  }

  get confirmed(): Promise<void> | undefined {
    return this.#owner.confirmed(this.confirmation)
  }

  open(nats: NatsConnection): void {
    this.#subscription = nats.subscribe(this.#subject, {
      ...(this.#queue !== undefined && { queue: this.#queue }),
      callback: (error, message) => {
        // Refused by the server's permissions; the connection has logged it.
        if (error !== null) return
        // The client stops reading, for good, where a callback throws.
        try {
          const handled = this.#handle(message)
          if (handled !== undefined) this.#track(message.subject, handled)
        } catch (cause) {
          this.#owner.failed(message.subject, cause)
        }
      },
    })
  }

  unsubscribe(): void {
    this.#owner.close(this)
    const subscription = this.#subscription
    if (subscription && !subscription.isClosed()) subscription.unsubscribe()
  }

  async drain(timeoutMs: number): Promise<void> {
    this.#owner.close(this)
    const ended = abortController()
    const limit = delay(timeoutMs, ended.signal)
    const subscription = this.#subscription
    // The link may be gone: then nothing comes any more.
    const last = subscription?.isClosed() === false ? subscription.drain().catch(() => {}) : undefined
    await Promise.race([last, limit])
    await Promise.race([this.#idle(), limit])
    ended.abort()
  }

  async #idle(): Promise<void> {
    while (this.#underWay) await Promise.all(this.#underWay)
  }

  #track(subject: string, handled: Promise<void>): void {
    const done = handled
      .catch((cause: unknown) => this.#owner.failed(subject, cause))
      .finally(() => {
        this.#underWay?.delete(done)
        if (this.#underWay?.size === 0) this.#underWay = undefined
      })
    this.#underWay ??= new Set()
    this.#underWay.add(done)
  }
}
