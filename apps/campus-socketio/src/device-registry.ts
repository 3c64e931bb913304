import { type DeviceCredentials, hashDeviceKey, verifyDeviceKey } from '@carillon/auth'
import type { Bucket, Bus } from '@carillon/bus'
import { campusDevicesBucket, type DevicePut, type DeviceRecord, escapeKey } from '@carillon/events'
import type { Device } from './room.ts'

/** The registered devices, in a key-value bucket that all instances share. */
export class DeviceRegistry {
  readonly #bucket: Bucket<DeviceRecord>
  readonly #secret: string

  constructor(bus: Bus, secret: string) {
    this.#bucket = bus.bucket(campusDevicesBucket)
    this.#secret = secret
  }

  /** @throws {BusUnavailable} */
  async find(serialNo: string): Promise<DeviceRecord | undefined> {
    return (await this.#bucket.get(escapeKey(serialNo)))?.value
  }

  /** The device, if the key is its own. A device that does not exist takes as long. @throws {BusUnavailable} */
  async verify(credentials: DeviceCredentials): Promise<Device | undefined> {
    const record = await this.find(credentials.serialNo)
    return verifyDeviceKey(this.#secret, credentials, record?.key_hash) && record
      ? deviceOf(record)
      : undefined
  }

  /** Writes what is known of a device; answers what was known before. @throws {BusUnavailable} */
  async put({ device_key: deviceKey, ...known }: DevicePut): Promise<{ readonly keyChanged: boolean }> {
    const before = await this.find(known.serial_no)
    const key_hash = hashDeviceKey(this.#secret, { serialNo: known.serial_no, deviceKey })
    const { serial_no, class_id, school_id, student_ids } = known
    await this.#bucket.put(escapeKey(serial_no), {
      serial_no,
      key_hash,
      ...(class_id !== undefined && { class_id }),
      ...(school_id !== undefined && { school_id }),
      ...(student_ids !== undefined && { student_ids }),
    })
    return { keyChanged: before !== undefined && before.key_hash !== key_hash }
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
