import { type Bucket, type Bus, BusUnavailable, NoResponders, RevisionMismatch } from '@carillon/bus'
import { campus, campusLiveBucket, type DeviceLease, escapeKey, type HolderCommand } from '@carillon/events'

/** A device's live connection on this instance. */
interface Held {
  readonly connectionId: string
  revision: number
  /** In which connection to NATS the lease was last seen to be ours. */
  checkedIn: number
  check: Promise<boolean> | undefined
}

export interface DeviceLeasesOptions {
  readonly bus: Bus
  readonly instanceId: string
  readonly now: () => number
  /** Closes a connection of this instance; resolves when it hears nothing from NATS any more. */
  readonly closeHere: (connectionId: string) => Promise<void>
  readonly presence: (serialNo: string, online: boolean) => void
}

const TRIES_MAX = 10
/** An instance that does not answer in this time is paused or cut off: its lease is taken from it. */
const CLOSE_TIMEOUT_MS = 2_000
const CHECKS_PARALLEL = 32

/**
 * Which connection of which instance is a device's live one: one record for each device, written by
 * compare-and-set. The newest connection wins: it has the older one closed, on whatever instance, before it takes
 * the lease, so that at no time two of them listen for the device's pushes.
 *
 * An instance that was paused or cut off from NATS may have lost leases without knowing: after each reconnect
 * every one is looked at anew, and {@link holds} waits for that.
 */
export class DeviceLeases {
  readonly #options: DeviceLeasesOptions
  readonly #bucket: Bucket<DeviceLease>
  readonly #held = new Map<string, Held>()
  /** Given up while NATS was away: serial number to revision. */
  readonly #toRelease = new Map<string, number>()
  #connection = 0
  #forget: (() => void) | undefined

  constructor(options: DeviceLeasesOptions) {
    this.#options = options
    this.#bucket = options.bus.bucket(campusLiveBucket)
  }

  start(): void {
    this.#forget = this.#options.bus.onChange((connected) => {
      if (!connected) return
      this.#connection += 1
      void this.#checkAll()
    })
  }

  stop(): void {
    this.#forget?.()
  }

  /** Whose lease it is. @throws {BusUnavailable} */
  async find(serialNo: string): Promise<DeviceLease | undefined> {
    return (await this.#bucket.get(escapeKey(serialNo)))?.value
  }

  /**
   * Makes a connection the device's live one; an older one is closed first. Does nothing more once the connection
   * is not wanted any longer.
   * @throws {BusUnavailable} without NATS, or where others took the lease again and again
   */
  async claim(serialNo: string, connectionId: string, stillWanted: () => boolean): Promise<void> {
    const { instanceId, now } = this.#options
    const key = escapeKey(serialNo)
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const epoch = this.#connection
      const current = await this.#bucket.get(key)
      if (current) await this.#close(current.value)
      if (!stillWanted()) return
      const lease = {
        serial_no: serialNo,
        instance_id: instanceId,
        connection_id: connectionId,
        since: now(),
      }
      try {
        const revision = current
          ? await this.#bucket.update(key, lease, current.revision)
          : await this.#bucket.create(key, lease)
        this.#toRelease.delete(serialNo)
        this.#held.set(serialNo, { connectionId, revision, checkedIn: epoch, check: undefined })
        this.#options.presence(serialNo, true)
        return
      } catch (error) {
        if (!(error instanceof RevisionMismatch)) throw error
      }
    }
    throw new BusUnavailable()
  }

  /** Is the connection still the device's live one, as far as NATS knows? False also where it cannot be asked. */
  async holds(serialNo: string, connectionId: string): Promise<boolean> {
    const held = this.#held.get(serialNo)
    if (held?.connectionId !== connectionId) return false
    if (held.checkedIn === this.#connection) return true
    held.check ??= this.#check(serialNo, held).finally(() => {
      held.check = undefined
    })
    return held.check
  }

  /** The connection has ended: the device is gone unless a newer connection has the lease. */
  async release(serialNo: string, connectionId: string): Promise<void> {
    const held = this.#held.get(serialNo)
    if (held?.connectionId !== connectionId) return
    this.#held.delete(serialNo)
    await this.#giveUp(serialNo, held.revision)
  }

  /** The connection has been replaced: its lease is somebody else's business. */
  forget(serialNo: string, connectionId: string): void {
    if (this.#held.get(serialNo)?.connectionId === connectionId) this.#held.delete(serialNo)
  }

  async #giveUp(serialNo: string, revision: number): Promise<void> {
    try {
      await this.#bucket.delete(escapeKey(serialNo), { revision })
      this.#toRelease.delete(serialNo)
      this.#options.presence(serialNo, false)
    } catch (error) {
      if (error instanceof RevisionMismatch) this.#toRelease.delete(serialNo)
      else this.#toRelease.set(serialNo, revision)
    }
  }

  async #close(lease: DeviceLease): Promise<void> {
    const { serial_no, instance_id: instanceId, connection_id } = lease
    if (instanceId === this.#options.instanceId) return this.#options.closeHere(connection_id)
    await this.tell(instanceId, { serial_no, connection_id, action: 'close', reason: 'replaced' })
  }

  /** Tells an instance something of a device that it may hold; one that is gone or does not answer is left alone. */
  async tell(instanceId: string, command: HolderCommand): Promise<boolean> {
    const { bus } = this.#options
    try {
      const reply = await bus.request(campus.holder, { instanceId }, command, { timeoutMs: CLOSE_TIMEOUT_MS })
      return reply.live
    } catch (error) {
      if (error instanceof NoResponders) return false
      if (error instanceof BusUnavailable) throw error
      bus.log.warn(
        { instance: instanceId, action: command.action, reason: error instanceof Error ? error.message : '' },
        'an instance did not answer about a device',
      )
      return false
    }
  }

  async #checkAll(): Promise<void> {
    const releases = [...this.#toRelease].map(
      ([serialNo, revision]) =>
        () =>
          this.#giveUp(serialNo, revision),
    )
    const checks = [...this.#held].map(
      ([serialNo, { connectionId }]) =>
        () =>
          this.holds(serialNo, connectionId),
    )
    const queue = [...releases, ...checks].values()
    const work = async () => {
      for (const task of queue) await task().catch(() => {})
    }
    await Promise.all(Array.from({ length: CHECKS_PARALLEL }, work))
  }

  async #check(serialNo: string, held: Held): Promise<boolean> {
    const connection = this.#connection
    try {
      const key = escapeKey(serialNo)
      const current = await this.#bucket.get(key)
      const { instanceId, now } = this.#options
      const { connectionId } = held
      if (current === undefined) {
        const lease = {
          serial_no: serialNo,
          instance_id: instanceId,
          connection_id: connectionId,
          since: now(),
        }
        held.revision = await this.#bucket.create(key, lease)
      } else if (current.value.instance_id !== instanceId || current.value.connection_id !== connectionId) {
        throw new RevisionMismatch(serialNo)
      }
      held.checkedIn = connection
      return true
    } catch (error) {
      if (!(error instanceof RevisionMismatch)) return false
      // Somebody else has the device: this connection ends without a word about it.
      if (this.#held.get(serialNo) === held) this.#held.delete(serialNo)
      await this.#options.closeHere(held.connectionId)
      return false
    }
  }
}
