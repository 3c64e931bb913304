import type { Bus } from '@carillon/bus'
import { campus } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { bootCampus, type CampusService, connectInternal, registerDevice, TestDevice } from './campus.ts'

let nats: NatsServer
let service: CampusService
let internal: Bus
beforeAll(async () => {
  nats = await NatsServer.start()
  service = await bootCampus(nats, { CAMPUS_ACK_TIMEOUT_MS: '300' })
  internal = await connectInternal(nats)
})
afterAll(async () => {
  await internal?.stop()
  await service?.stop()
  await nats?.stop()
})

const store = (serialNo: string, event: string, body: object, headers?: Record<string, string>) =>
  internal.publishStored(campus.outbox, { serialNo, event }, body, headers ? { headers } : {})
const pending = async (serial_no: string) =>
  ((await internal.request(campus.device_state, {}, { serial_no })).pending ?? []).map(({ event }) => event)
const school = (name: string) => ({ id: 1, name })

test('five events while the device is away, two of a kind: four, the newest of each, in the order of publishing', async () => {
  const serialNo = 'AC1'
  await registerDevice(internal, serialNo)
  await store(serialNo, 'bind_school', school('old'))
  await store(serialNo, 'unbind_class', { unbind: true })
  await store(serialNo, 'memos_unread', { updated_at: '2018-01-01T09:00' })
  await store(serialNo, 'bind_school', school('new'))
  await store(serialNo, 'restart_device', { restart: true })
  const expected = ['unbind_class', 'memos_unread', 'bind_school', 'restart_device']
  expect(await pending(serialNo)).toEqual(expected)

  // Two are acknowledged, one is answered wrongly, one not at all.
  const answer = (event: string) =>
    event === 'memos_unread' ? { ack: false } : event === 'restart_device' ? undefined : { ack: true }
  const first = await TestDevice.connect(service, serialNo, {
    answer,
    version: '2.0.4',
    transport: 'polling',
  })
  await eventually(() => first.received.length >= 4)
  expect(first.events.slice(0, 4)).toEqual(expected)
  expect(first.received[2]?.body).toEqual(school('new'))
  await eventually(async () => {
    expect(await pending(serialNo)).toEqual(['memos_unread', 'restart_device'])
  })
  // Again while it is connected, after the time for an answer.
  await eventually(() => first.events.filter((event) => event === 'restart_device').length >= 2)
  first.close()

  const second = await TestDevice.connect(service, serialNo, { version: '1.7.4' })
  await eventually(() => second.received.length === 2)
  expect(second.events).toEqual(['memos_unread', 'restart_device'])
  await eventually(async () => (await pending(serialNo)).length === 0)
  second.close()

  const third = await TestDevice.connect(service, serialNo)
  await store(serialNo, 'text_stop', { stop: true })
  await eventually(() => third.received.length > 0)
  expect(third.events).toEqual(['text_stop'])
  third.close()
})

test('an event for a live device is pushed at once, over any transport', async () => {
  await registerDevice(internal, 'AC2')
  const device = await TestDevice.connect(service, 'AC2', { transport: 'upgrade' })
  const acked: unknown[] = []
  internal.subscribe(campus.ack, { serialNo: 'AC2' }, ({ payload }) => acked.push(payload))
  await internal.roundTrip()
  await store('AC2', 'bind_class', { id: 7, name: '初三1班' })
  expect(await device.gets('bind_class')).toEqual({ id: 7, name: '初三1班' })
  await eventually(() => acked.length === 1)
  expect(acked[0]).toMatchObject({ serial_no: 'AC2', event: 'bind_class', response: { ack: true } })
  await eventually(async () => (await pending('AC2')).length === 0)
  device.close()
})

test('an acknowledgement that comes late settles its own event, not a newer one', async () => {
  await registerDevice(internal, 'AC3')
  const callbacks: (() => void)[] = []
  const device = await TestDevice.connect(service, 'AC3', { answer: () => undefined })
  device.socket.on('bind_school', (_body: unknown, callback: (answer: object) => void) => {
    callbacks.push(() => callback({ ack: true }))
  })
  await store('AC3', 'bind_school', school('one'))
  await eventually(() => callbacks.length > 0)
  const [late] = callbacks
  await store('AC3', 'bind_school', school('two'))
  await eventually(() => JSON.stringify(device.received).includes('two'))
  late?.()
  await eventually(() => callbacks.length > 2)
  expect(await pending('AC3')).toEqual(['bind_school'])
  // The last callback belongs to the newest event.
  callbacks.at(-1)?.()
  await eventually(async () => (await pending('AC3')).length === 0)
  device.close()
})

test('an expired event is never sent: by header, by body, and while it waits', async () => {
  await registerDevice(internal, 'AC4')
  const past = { 'Carillon-Expires-At': String(Date.now() - 1) }
  await store('AC4', 'media_stop', { stop: true }, past)
  await store('AC4', 'text_notifications', { notifications: [], ended_at: '2016-10-25T18:15:17+08:00' })
  await store(
    'AC4',
    'text_stop',
    { stop: true },
    { 'Carillon-Expires-At': new Date(Date.now() + 60_000).toISOString() },
  )
  const device = await TestDevice.connect(service, 'AC4')
  await eventually(() => device.received.length === 1)
  await eventually(async () => (await pending('AC4')).length === 0)
  expect(device.events).toEqual(['text_stop'])
  device.close()
})

test('a payload that no device could get is refused, and does not stand in the way', async () => {
  await registerDevice(internal, 'AC5')
  const { publishRaw } = await import('@carillon/testkit')
  await publishRaw(nats.port, 'campus.outbox.AC5.bind_class', '{"id":"one"}')
  await publishRaw(nats.port, 'campus.outbox.AC5.media_stop', '{"stop":true}')
  const device = await TestDevice.connect(service, 'AC5')
  await eventually(() => device.received.length === 1)
  expect(device.events).toEqual(['media_stop'])
  await eventually(async () => (await pending('AC5')).length === 0)
  device.close()
})
