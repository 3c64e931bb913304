import { type DeviceCredentials, hashDeviceKey, verifyDeviceKey } from '@carillon/auth'
import { type Bucket, type Bus, type Entry, RevisionMismatch } from '@carillon/bus'
import { campusDevicesBucket, type DevicePut, type DeviceRecord, escapeKey } from '@carillon/events'
import type { Secrets } from '@carillon/service'
import type { Device } from './room.ts'

/** The registered devices, in a key-value bucket that all instances share. */
export class DeviceRegistry {
  readonly #bucket: Bucket<DeviceRecord>
  readonly #secrets: Secrets

  constructor(bus: Bus, secrets: Secrets) {
    this.#bucket = bus.bucket(campusDevicesBucket)
    this.#secrets = secrets
  }

  /** @throws {BusUnavailable} */
  async find(serialNo: string): Promise<DeviceRecord | undefined> {
    return (await this.#bucket.get(escapeKey(serialNo)))?.value
  }

  /** The device, if the key is its own. A device that does not exist takes as long. @throws {BusUnavailable} */
  async verify(credentials: DeviceCredentials): Promise<Device | undefined> {
    const key = escapeKey(credentials.serialNo)
    const entry = await this.#bucket.get(key)
    const [newest, ...older] = this.#secrets()
    // All of them, so that it takes as long with whichever it is.
    const by = [newest, ...older].filter((secret) =>
      verifyDeviceKey(secret, credentials, entry?.value.key_hash),
    )
    if (entry === undefined || by.length === 0) return undefined
    if (!by.includes(newest)) await this.#rehash(key, entry, hashDeviceKey(newest, credentials))
    return deviceOf(entry.value)
  }

  /** A key that is stored under an older secret is stored under the newest, which will outlive that one. */
  async #rehash(key: string, { value, revision }: Entry<DeviceRecord>, key_hash: string): Promise<void> {
    try {
      await this.#bucket.update(key, { ...value, key_hash }, revision)
    } catch (error) {
      // Somebody else has written it meanwhile: the next time, then.
      if (!(error instanceof RevisionMismatch)) throw error
    }
  }

  /** Writes what is known of a device; answers what was known before. @throws {BusUnavailable} */
  async put({ device_key: deviceKey, ...known }: DevicePut): Promise<{ readonly keyChanged: boolean }> {
    const before = await this.find(known.serial_no)
    const [newest, ...older] = this.#secrets()
    const credentials = { serialNo: known.serial_no, deviceKey }
    const key_hash = hashDeviceKey(newest, credentials)
    const { serial_no, class_id, school_id, student_ids } = known
    await this.#bucket.put(escapeKey(serial_no), {
      serial_no,
      key_hash,
      ...(class_id !== undefined && { class_id }),
      ...(school_id !== undefined && { school_id }),
      ...(student_ids !== undefined && { student_ids }),
    })
    const same = (secret: string) => verifyDeviceKey(secret, credentials, before?.key_hash)
    return { keyChanged: before !== undefined && ![newest, ...older].some(same) }
  }

  /** Answers whether there was such a device. @throws {BusUnavailable} */
  async delete(serialNo: string): Promise<boolean> {
    const known = (await this.find(serialNo)) !== undefined
    if (known) await this.#bucket.delete(escapeKey(serialNo))
    return known
  }
}

export function deviceOf({ serial_no, student_ids = [] }: DeviceRecord): Device {
  return { serialNo: serial_no, studentIds: new Set(student_ids) }
}
