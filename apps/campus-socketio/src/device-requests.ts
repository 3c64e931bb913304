import type { Bus } from '@carillon/bus'
import { campus, type DeviceLease, type DeviceState } from '@carillon/events'
import type { DeviceLeases } from './device-leases.ts'
import type { DeviceRegistry } from './device-registry.ts'
import type { DurableStore } from './durable-store.ts'

export interface DeviceRequestsOptions {
  readonly bus: Bus
  readonly registry: DeviceRegistry
  readonly leases: DeviceLeases
  readonly store: DurableStore
}

const done = { error_code: 0, error_reason: '' }
const unknown = { error_code: -1, error_reason: 'the device is not registered' }
/** One instance answers each request. */
const QUEUE = { queue: 'campus-socketio' }

/** Serves what internal services ask of and change in the device registry. */
export function serveDeviceRequests({ bus, registry, leases, store }: DeviceRequestsOptions): void {
  bus.serve(
    campus.device_put,
    {},
    async ({ payload }) => {
      const { keyChanged } = await registry.put(payload)
      // A connection that was authenticated with the former key ends; another one learns what has changed.
      await tellHolder(payload.serial_no, keyChanged ? 'close' : 'refresh')
      return done
    },
    QUEUE,
  )

  bus.serve(
    campus.device_delete,
    {},
    async ({ payload: { serial_no: serialNo } }) => {
      if (!(await registry.delete(serialNo))) return unknown
      await tellHolder(serialNo, 'close')
      for (const { sequence } of await store.load(serialNo)) await store.delete(sequence)
      return done
    },
    QUEUE,
  )

  bus.serve(
    campus.device_state,
    {},
    async ({ payload: { serial_no: serialNo } }): Promise<DeviceState> => {
      const record = await registry.find(serialNo)
      if (record === undefined) return { ...unknown, serial_no: serialNo, registered: false, online: false }
      const lease = await leases.find(serialNo)
      const online = lease !== undefined && (await probe(lease))
      const { key_hash: _secret, ...known } = record
      return {
        ...done,
        ...known,
        registered: true,
        online,
        ...(online && { instance_id: lease.instance_id, since: lease.since }),
        pending: (await store.load(serialNo)).map(({ event, publishedAtMs, expiresAtMs }) => ({
          event,
          published_at: publishedAtMs,
          expires_at: expiresAtMs,
        })),
      }
    },
    QUEUE,
  )

  async function tellHolder(serial_no: string, action: 'close' | 'refresh'): Promise<void> {
    const lease = await leases.find(serial_no)
    if (lease === undefined) return
    const { instance_id: instanceId, connection_id } = lease
    await leases.tell(instanceId, { serial_no, connection_id, action, reason: 'removed' })
  }

  /** A lease outlives an instance that was killed: the holder itself is asked. */
  async function probe({ instance_id, serial_no, connection_id }: DeviceLease): Promise<boolean> {
    return leases.tell(instance_id, { serial_no, connection_id, action: 'probe' })
  }
}
