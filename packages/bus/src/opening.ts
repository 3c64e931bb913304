import type { Msg, Subscription as NatsSubscription } from '@nats-io/transport-node'

export interface Subscription {
  unsubscribe(): void
}

/** A subscription that may have to wait for the first connection. */
export class Opening implements Subscription {
  readonly #subject: string
  readonly #queue: string | undefined
  readonly #handle: (message: Msg) => void
  #subscription: NatsSubscription | undefined

  constructor(subject: string, queue: string | undefined, handle: (message: Msg) => void) {
    this.#subject = subject
    this.#queue = queue
    this.#handle = handle
  }

  open(
    subscribe: (
      subject: string,
      options: { queue?: string; callback: (error: Error | null, message: Msg) => void },
    ) => NatsSubscription,
  ): void {
    this.#subscription = subscribe(this.#subject, {
      ...(this.#queue !== undefined && { queue: this.#queue }),
      callback: (error, message) => {
        // Refused by the server's permissions; the connection's status has reported it.
        if (error === null) this.#handle(message)
      },
    })
  }

  unsubscribe(): void {
    if (this.#subscription && !this.#subscription.isClosed()) this.#subscription.unsubscribe()
  }
}
