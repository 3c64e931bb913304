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

/**
 * A connection that claims its device may have been made so long before: the time it may take to be `connected`,
 * and as much again for the claim's way. A claim that comes later than this after another one is newer.
 */
const CROSSING_MS = 30_000
/** An order further ahead than this is a mistake, and is not taken over. */
const AHEAD_MAX_MS = 3_600_000
const REPEAT_SLICE = 500

/**
 * Does an incoming claim replace the one that is held? The connection that was made later does: its order is
 * greater, on which both sides agree. Where the one that is held has stood for long, the incoming one is newer
 * whatever its order; only claims that are repeated, after a while without NATS, are compared by their order then too.
 */
export function replaces(incoming: ImDeviceClaim, held: ImDeviceClaim, heldForMs: number): boolean {
  if (!incoming.repeated && heldForMs > CROSSING_MS) return true
  if (incoming.order !== held.order) return incoming.order > held.order
  return incoming.connection_id > held.connection_id
}

/**
 * Sees to it that a device has one connection, the one that was made last of those that are `connected`, on all
 * instances together. Connections are compared by identity: one that was replaced cannot withdraw the claim of its
 * replacement.
 */
export class DeviceClaims {
  readonly #bus: Bus
  readonly #instanceId: string
  readonly #clock: Clock
  readonly #held = new Map<string, Held>()
  /** Connections that are not `connected` yet, by device, with the claims that they will make. */
  readonly #opening = new Map<string, Map<Claimant, ImDeviceClaim>>()
  #order = 0

  constructor(bus: Bus, instanceId: string, clock: Clock) {
    this.#bus = bus
    this.#instanceId = instanceId
    this.#clock = clock
    bus.subscribe(imDevice.opening, {}, ({ payload }) => this.#heard(payload))
    bus.subscribe(imDevice.claimed, {}, ({ payload }) => this.#received(payload))
  }

  /** A connection is made: it is newer than every other one so far. It replaces none before it claims. */
  open(claimant: Claimant): void {
    const { userId, platform, deviceId } = claimant.identity
    const claim: ImDeviceClaim = {
      user_id: userId,
      platform,
      device_id: deviceId,
      instance_id: this.#instanceId,
      connection_id: `${this.#instanceId}/${claimant.connectionId}`,
      order: this.#nextOrder(),
      repeated: false,
    }
    const key = keyOf(claim)
    const opening = this.#opening.get(key)
    if (opening === undefined) this.#opening.set(key, new Map([[claimant, claim]]))
    else opening.set(claimant, claim)
    // Other instances see this order: the claims of connections that are made there later are greater.
    this.#publish(imDevice.opening, claim)
  }

  /**
   * A connection stands for its device from now on; older ones are told, wherever they are. Where a newer one was
   * `connected` before it, it is told itself, and the answer is false.
   */
  claim(claimant: Claimant): boolean {
    const claim = this.#endOpening(claimant)
    if (claim === undefined) return false
    const key = keyOf(claim)
    const held = this.#held.get(key)
    // Both were made here, one after the other.
    if (held !== undefined && held.claim.order > claim.order) {
      claimant.replaced()
      return false
    }
    this.#held.set(key, { claimant, claim, sinceMs: this.#clock.monotonic() })
    held?.claimant.replaced()
    this.#replaceOpening(claim)
    this.#publish(imDevice.claimed, claim)
    return true
  }

  /** A connection has ended. Nothing happens if another one stands for the device by now. */
  release(claimant: Claimant): void {
    this.#endOpening(claimant)
    const key = keyOfClaimant(claimant)
    if (this.#held.get(key)?.claimant === claimant) this.#held.delete(key)
  }

  /** Says all claims again: others may not have heard them, nor this instance theirs. */
  async repeat(): Promise<void> {
    let said = 0
    for (const { claim } of this.#held.values()) {
      this.#publish(imDevice.claimed, { ...claim, repeated: true })
      said += 1
      if (said % REPEAT_SLICE === 0) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Orders that are made here from now on are greater than this one. */
  #heard({ instance_id, order }: ImDeviceClaim): void {
    if (instance_id === this.#instanceId) return
    if (order < this.#clock.now() + AHEAD_MAX_MS) this.#order = Math.max(this.#order, order)
  }

  #received(incoming: ImDeviceClaim): void {
    if (incoming.instance_id === this.#instanceId) return
    this.#heard(incoming)
    this.#replaceOpening(incoming)
    const key = keyOf(incoming)
    const held = this.#held.get(key)
    if (held === undefined) return
    if (replaces(incoming, held.claim, this.#clock.monotonic() - held.sinceMs)) {
      this.#held.delete(key)
      held.claimant.replaced()
    } else this.#publish(imDevice.claimed, { ...held.claim, repeated: true })
  }

  /** A connection is `connected`: those that were made before it and are still opening come too late. */
  #replaceOpening(newer: ImDeviceClaim): void {
    for (const [claimant, claim] of this.#opening.get(keyOf(newer)) ?? []) {
      if (!replaces(newer, claim, 0)) continue
      this.#endOpening(claimant)
      claimant.replaced()
    }
  }

  #endOpening(claimant: Claimant): ImDeviceClaim | undefined {
    const key = keyOfClaimant(claimant)
    const opening = this.#opening.get(key)
    const claim = opening?.get(claimant)
    opening?.delete(claimant)
    if (opening?.size === 0) this.#opening.delete(key)
    return claim
  }

  #nextOrder(): number {
    this.#order = Math.max(this.#order + 1, this.#clock.now())
    return this.#order
  }

  #publish(channel: typeof imDevice.claimed | typeof imDevice.opening, claim: ImDeviceClaim): void {
    try {
      this.#bus.publish(channel as typeof imDevice.claimed, { userId: claim.user_id }, claim)
    } catch (error) {
      // Without NATS nobody hears it; claims are repeated when NATS is back.
      if (!(error instanceof BusUnavailable)) throw error
    }
  }
}

function keyOf({ user_id, platform, device_id }: ImDeviceClaim): string {
  return `${user_id} ${platform} ${device_id}`
}

function keyOfClaimant({ identity: { userId, platform, deviceId } }: Claimant): string {
  return `${userId} ${platform} ${deviceId}`
}
