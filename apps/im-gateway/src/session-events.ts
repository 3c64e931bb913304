import { type Bus, BusUnavailable } from '@carillon/bus'
import { type ImSession, im } from '@carillon/events'
import type { Clock } from '@carillon/service'
import type { ImIdentity } from './authenticate.ts'

type Kind = 'online' | 'offline'

/** Beyond this many, events that could not be published are dropped, oldest first. */
const UNPUBLISHED_MAX = 100_000

/** Tells internal services when a device comes and goes. What happens while NATS is away is told afterwards. */
export class SessionEvents {
  dropped = 0
  readonly #bus: Bus
  readonly #instanceId: string
  readonly #clock: Clock
  readonly #unpublished: [Kind, ImSession][] = []

  constructor(bus: Bus, instanceId: string, clock: Clock) {
    this.#bus = bus
    this.#instanceId = instanceId
    this.#clock = clock
    bus.onChange((connected) => {
      if (connected) for (const [kind, event] of this.#unpublished.splice(0)) this.#publish(kind, event)
    })
  }

  online(identity: ImIdentity): void {
    this.#publish('online', this.#describe(identity))
  }

  offline(identity: ImIdentity, closeCode: number): void {
    this.#publish('offline', { ...this.#describe(identity), reason: `closed with ${closeCode}` })
  }

  #describe({ userId, platform, deviceId }: ImIdentity): ImSession {
    return {
      user_id: userId,
      platform,
      device_id: deviceId,
      instance_id: this.#instanceId,
      at: this.#clock.now(),
    }
  }

  #publish(kind: Kind, event: ImSession): void {
    try {
      return this.#bus.publish(im[kind], { userId: event.user_id }, event)
    } catch (error) {
      if (!(error instanceof BusUnavailable)) throw error
    }
    this.#unpublished.push([kind, event])
    if (this.#unpublished.length <= UNPUBLISHED_MAX) return
    this.#unpublished.shift()
    this.dropped += 1
  }
}
