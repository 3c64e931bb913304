import type { Bus } from '@carillon/bus'
import { ANNOUNCE_INTERVAL_MS, type Announcement, discovery } from '@carillon/events'

/** Tells discovery every two seconds, and at once on change, where this instance is and what it can take. */
export class Announcer {
  readonly #bus: Bus
  readonly #describe: () => Announcement
  #timer: NodeJS.Timeout | undefined
  #forget: (() => void) | undefined

  constructor(bus: Bus, describe: () => Announcement) {
    this.#bus = bus
    this.#describe = describe
  }

  start(): void {
    this.#timer = setInterval(() => this.announce(), ANNOUNCE_INTERVAL_MS)
    this.#timer.unref()
    this.#forget = this.#bus.onChange(() => this.announce())
  }

  announce(): void {
    if (!this.#bus.connected) return
    const announcement = this.#describe()
    const { service, instance_id: instanceId } = announcement
    this.#bus.publish(discovery.announce, { service, instanceId }, announcement)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#forget?.()
  }
}
