import type { Bus, Delivery, Subscription } from '@carillon/bus'
import { campus } from '@carillon/events'

type RoomDelivery = Delivery<(typeof campus.room)['pattern'], object>

interface Followed {
  readonly subscription: Subscription
  /** Resolves when the server has the subscription. */
  readonly confirmed: Promise<unknown>
  holders: number
}

/** This instance hears a room's events while at least one of its connections is in the room. */
export class RoomInterest {
  readonly #bus: Bus
  readonly #deliver: (delivery: RoomDelivery) => void
  readonly #rooms = new Map<string, Followed>()

  constructor(bus: Bus, deliver: (delivery: RoomDelivery) => void) {
    this.#bus = bus
    this.#deliver = deliver
  }

  get size(): number {
    return this.#rooms.size
  }

  has(room: string): boolean {
    return this.#rooms.has(room)
  }

  /**
   * One more connection is in the room; resolves when the server sends its events here.
   * @throws {BusUnavailable} without NATS; then nothing is held
   */
  async hold(room: string): Promise<void> {
    let followed = this.#rooms.get(room)
    if (followed === undefined) {
      const subscription = this.#bus.subscribe(campus.room, { room }, this.#deliver)
      followed = { subscription, confirmed: this.#bus.roundTrip(), holders: 0 }
      this.#rooms.set(room, followed)
    }
    followed.holders += 1
    try {
      await followed.confirmed
    } catch (error) {
      this.release(room, followed)
      throw error
    }
  }

  release(room: string, followed = this.#rooms.get(room)): void {
    if (followed === undefined) return
    followed.holders -= 1
    if (followed.holders > 0) return
    followed.subscription.unsubscribe()
    if (this.#rooms.get(room) === followed) this.#rooms.delete(room)
  }

  stop(): void {
    for (const { subscription } of this.#rooms.values()) subscription.unsubscribe()
    this.#rooms.clear()
  }
}
