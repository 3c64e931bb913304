import { campus } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import {
  CampusDevice,
  type CampusOptions,
  type ClientError,
  type DeviceEvents,
  deviceSignature,
  type RoomEvent,
} from '../src/campus/index.ts'
import { bootCampus, openNetwork, reconnect } from './fleet.ts'

let nats: NatsServer
let fleet: Awaited<ReturnType<typeof bootCampus>>
const cleanups: (() => unknown)[] = []
beforeAll(async () => {
  nats = await NatsServer.start()
  fleet = await bootCampus(nats, { CAMPUS_ROOM_ACCESS: 'open' })
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
afterAll(async () => {
  await fleet.close()
  await nats.stop()
})

const endpoint = () => `http://127.0.0.1:${fleet.service.transport.port}`

function deviceOf(serialNo: string | undefined, options: Partial<CampusOptions> = {}) {
  const signature = serialNo === undefined ? {} : { signature: () => deviceSignature(serialNo, 'abcdef') }
  const device = new CampusDevice({ endpoint: endpoint(), reconnect, ...signature, ...options })
  cleanups.push(() => device.close())
  const errors: ClientError[] = []
  const heard: RoomEvent[] = []
  device.on('error', (error) => errors.push(error))
  device.on('room', (event) => heard.push(event))
  return Object.assign(device, { errors, heard })
}

const push = (serialNo: string, event: keyof DeviceEvents, body: object) =>
  fleet.bus.request(campus.device, { serialNo, event }, body, { timeoutMs: 30_000 })
const publishRoom = (room: string, event: string, body: object) =>
  fleet.bus.publish(campus.room, { room, event } as never, body as never)

test('the documented signature', () => {
  expect(deviceSignature('sn12345678', 'abcdef')).toBe('c24xMjM0NTY3ODphYmNkZWY=')
})

describe('a device', () => {
  test("what its handlers return is the answer, and a handler that fails or isn't there rejects", async () => {
    await fleet.register('sn1', 'abcdef')
    const bodies: unknown[] = []
    const device = deviceOf('sn1', {
      handlers: {
        device_status: () => ({ ack: true, status: 'sleep' }),
        text_stop: async (body) => {
          bodies.push(body)
          return undefined
        },
        restart_device: () => {
          throw new Error('busy')
        },
      },
    })
    await device.connect()
    expect(await push('sn1', 'device_status', {})).toMatchObject({ response: { ack: true, status: 'sleep' } })
    expect(await push('sn1', 'text_stop', { stop: true })).toMatchObject({ response: { ack: true } })
    expect(bodies).toEqual([{ stop: true }])
    expect(await push('sn1', 'restart_device', { restart: true })).toMatchObject({ status: 'rejected' })
    expect(await push('sn1', 'media_stop', { stop: true })).toMatchObject({ status: 'rejected' })
    expect(device.errors.map(({ code }) => code)).toEqual(['handler_failed', 'handler_failed'])
  })

  test('a cut network: it comes back, and gets the durable event that was published meanwhile', async () => {
    await fleet.register('sn2', 'abcdef')
    const network = await openNetwork(fleet.service.transport.port)
    cleanups.push(() => network.close())
    const bodies: unknown[] = []
    const handlers = { bind_class: (body: unknown) => void bodies.push(body) as undefined }
    const device = deviceOf('sn2', { endpoint: network.webSocketUrl, handlers })
    await device.connect()
    await device.join('sn2')
    network.cut()
    await eventually(() => device.state.type !== 'open')
    fleet.bus.publish(campus.outbox, { serialNo: 'sn2', event: 'bind_class' }, { id: 7 })
    network.restore()
    await eventually(() => bodies.length > 0)
    expect(bodies[0]).toEqual({ id: 7 })
    // It is in its room again: what it says there goes to the others.
    const watcher = deviceOf(undefined)
    await watcher.connect()
    await watcher.join('sn2')
    await eventually(() => {
      device.sendResult('ls')
      return watcher.heard.some(({ event, body }) => event === 'cmd_result' && body.result === 'ls')
    })
  })

  test('a key that is wrong is tried again, a newer connection (4409) is final', async () => {
    await fleet.register('sn3', 'abcdef')
    const signatures = [deviceSignature('sn3', 'wrong'), deviceSignature('sn3', 'abcdef')]
    const older = deviceOf('sn3', { signature: () => signatures.shift() as string })
    await older.connect()
    expect(older.errors.map(({ code }) => code)).toEqual(['refused'])
    const newer = deviceOf('sn3')
    await newer.connect()
    await eventually(() => older.state.type === 'closed')
    expect(older.state).toMatchObject({ close: { code: 4409 } })
  })
})

describe('rooms', () => {
  test('are joined also before there is a connection, again after a drop, and left', async () => {
    const client = deviceOf(undefined)
    const events = client.roomEvents()
    const joined = client.join('bp_student_11')
    await client.connect()
    await joined
    await publishRoom('bp_student_11', 'memos_update', { memo_id: 1 })
    expect((await events.next()).value).toEqual({ event: 'memos_update', body: { memo_id: 1 } })
    client.reconnect()
    await client.connect()
    await client.join('bp_student_11')
    await publishRoom('bp_student_11', 'memos_update', { memo_id: 2 })
    expect((await events.next()).value).toEqual({ event: 'memos_update', body: { memo_id: 2 } })
    await client.leave('bp_student_11')
    await client.join('bp_student_12')
    await publishRoom('bp_student_11', 'memos_update', { memo_id: 3 })
    await publishRoom('bp_student_12', 'memos_update', { memo_id: 4 })
    expect((await events.next()).value).toEqual({ event: 'memos_update', body: { memo_id: 4 } })
  })

  test('a room that is none is refused', async () => {
    const client = deviceOf(undefined)
    await client.connect()
    await expect(client.join('no room')).rejects.toMatchObject({ code: 'refused' })
  })
})
