import type { Bus } from '@carillon/bus'
import { type VoiceDeliver, voiceInternal } from '@carillon/events'
import type { Connections } from './connections.ts'
import type { AttemptRef, Relays } from './relays.ts'

export interface PeersOptions {
  readonly bus: Bus
  readonly connections: Connections
  readonly relays: Pick<Relays, 'outcome'>
  /** The lease of this instance: its inbox. */
  readonly own: () => string
}

/** Notices on their way to a connection, and what becomes of them, between this instance and the others. */
export class Peers {
  readonly #options: PeersOptions
  #subscriptions: readonly { unsubscribe(): void }[] = []

  constructor(options: PeersOptions) {
    this.#options = options
  }

  /** Listens in the inbox of this instance's lease; again once it has another lease. */
  listen(): void {
    const { bus, relays, own } = this.#options
    const inbox = { lease: own() }
    for (const subscription of this.#subscriptions) subscription.unsubscribe()
    this.#subscriptions = [
      bus.subscribe(voiceInternal.deliver, inbox, ({ payload }) => this.#deliver(payload)),
      bus.subscribe(voiceInternal.attempt, inbox, ({ payload }) => relays.outcome(payload)),
    ]
  }

  /** Hands a notice to a connection of that lease, here or on another instance. @throws {BusUnavailable} */
  deliver(lease: string, deliver: VoiceDeliver): void {
    const { bus, own } = this.#options
    if (lease === own()) this.#deliver(deliver)
    else bus.publish(voiceInternal.deliver, { lease }, deliver)
  }

  /** Tells the instance that waits for it what has become of an attempt. */
  tell({ attempt, from }: AttemptRef, kind: 'sent' | 'reported' | 'gone'): void {
    const { bus, relays, own } = this.#options
    if (from === own()) queueMicrotask(() => relays.outcome({ attempt, kind }))
    else if (bus.connected) bus.publish(voiceInternal.attempt, { lease: from }, { attempt, kind })
  }

  #deliver(deliver: VoiceDeliver): void {
    const { attempt, from } = deliver
    this.tell({ attempt, from }, this.#options.connections.deliver(deliver) ? 'sent' : 'gone')
  }
}
