import { type Bus, BusUnavailable } from '@carillon/bus'
import { type ImDeviceClaim, imDevice } from '@carillon/events'
import type { Clock } from '@carillon/service'
import type { ImIdentity } from './authenticate.ts'

/** A connection that stands for a device. */
export interface Claimant {
  readonly identity: ImIdentity
  /** Unique in this instance. */
  readonly connectionId: number
  /** Another connection of the same device is newer. */
  replaced(): void
}

interface Held {
  readonly claimant: Claimant
  readonly claim: ImDeviceClaim
  /** Monotonic. */
  readonly sinceMs: number
}

/** Claims that were made within this time of each other may have crossed on their way. */
const CROSSING_MS = 10_000
/** An order further ahead than this is a mistake, and is not taken over. */
const AHEAD_MAX_MS = 3_600_000
const REPEAT_SLICE = 500

/**
 * Does an incoming claim replace the one that is held? Normally it is newer because it comes later. Only two
 * claims that may have crossed, and those that are repeated after a while without NATS, are compared by their
 * order, which both sides do alike.
 */
export function replaces(incoming: ImDeviceClaim, held: ImDeviceClaim, heldForMs: number): boolean {
  if (!incoming.repeated && heldForMs > CROSSING_MS) return true
  if (incoming.order !== held.order) return incoming.order > held.order
  return incoming.connection_id > held.connection_id
}

/**
 * Sees to it that a device has one connection, the newest one, on all instances together. Connections are
 * compared by identity: one that was replaced cannot withdraw the claim of its replacement.
 */
export class DeviceClaims {
  readonly #bus: Bus
  readonly #instanceId: string
  readonly #clock: Clock
  readonly #held = new Map<string, Held>()
  #order = 0

  constructor(bus: Bus, instanceId: string, clock: Clock) {
    this.#bus = bus
    this.#instanceId = instanceId
    this.#clock = clock
    bus.subscribe(imDevice.claimed, {}, ({ payload }) => this.#received(payload))
  }

  /** A connection stands for its device from now on; an older one is told, wherever it is. */
  claim(claimant: Claimant): void {
    const { userId, platform, deviceId } = claimant.identity
    const key = keyOf(userId, platform, deviceId)
    const older = this.#held.get(key)
    const claim: ImDeviceClaim = {
      user_id: userId,
      platform,
      device_id: deviceId,
      instance_id: this.#instanceId,
      connection_id: `${this.#instanceId}/${claimant.connectionId}`,
      order: this.#nextOrder(),
      repeated: false,
    }
    this.#held.set(key, { claimant, claim, sinceMs: this.#clock.monotonic() })
    older?.claimant.replaced()
    this.#publish(claim)
  }

  /** A connection has ended. Nothing happens if another one stands for the device by now. */
  release(claimant: Claimant): void {
    const { userId, platform, deviceId } = claimant.identity
    const key = keyOf(userId, platform, deviceId)
    if (this.#held.get(key)?.claimant === claimant) this.#held.delete(key)
  }

  /** Says all claims again: others may not have heard them, nor this instance theirs. */
  async repeat(): Promise<void> {
    let said = 0
    for (const { claim } of this.#held.values()) {
      this.#publish({ ...claim, repeated: true })
      said += 1
      if (said % REPEAT_SLICE === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #received(incoming: ImDeviceClaim): void {
    if (incoming.instance_id === this.#instanceId) return
    if (incoming.order < this.#clock.now() + AHEAD_MAX_MS) this.#order = Math.max(this.#order, incoming.order)
    const key = keyOf(incoming.user_id, incoming.platform, incoming.device_id)
    const held = this.#held.get(key)
    if (held === undefined) return
    if (replaces(incoming, held.claim, this.#clock.monotonic() - held.sinceMs)) {
      this.#held.delete(key)
      held.claimant.replaced()
    } else this.#publish({ ...held.claim, repeated: true })
  }

  #nextOrder(): number {
    this.#order = Math.max(this.#order + 1, this.#clock.now())
    return this.#order
  }

  #publish(claim: ImDeviceClaim): void {
    try {
      this.#bus.publish(imDevice.claimed, { userId: claim.user_id }, claim)
    } catch (error) {
      // Without NATS nobody hears it; it is repeated when NATS is back.
      if (!(error instanceof BusUnavailable)) throw error
    }
  }
}

function keyOf(userId: string, platform: string, deviceId: string): string {
  return `${userId} ${platform} ${deviceId}`
}
