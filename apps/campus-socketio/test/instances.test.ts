import { type Bus, NoResponders } from '@carillon/bus'
import { campus } from '@carillon/events'
import { AppProcess, eventually, NatsServer, testEnvironment } from '@carillon/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import {
  bootCampus,
  type CampusService,
  connectInternal,
  registerDevice,
  TestDevice,
  urlOf,
} from './campus.ts'
import { StickyProxy } from './sticky-proxy.ts'

let nats: NatsServer
let internal: Bus
let one: CampusService
let two: CampusService
beforeAll(async () => {
  nats = await NatsServer.start()
  one = await bootCampus(nats, { CAMPUS_ACK_TIMEOUT_MS: '2000' })
  two = await bootCampus(nats, { CAMPUS_ACK_TIMEOUT_MS: '2000' })
  internal = await connectInternal(nats)
})
afterAll(async () => {
  await internal?.stop()
  await Promise.all([one?.stop(), two?.stop()])
  await nats?.stop()
})

const push = (serialNo: string) =>
  internal.request(campus.device, { serialNo, event: 'media_stop' }, { stop: true }, { timeoutMs: 5_000 })

describe('one live connection for each device', () => {
  test.each([
    ['the same instance', () => [one, one] as const],
    ['another instance', () => [one, two] as const],
  ])('a newer one on %s replaces the older', async (name, instances) => {
    const serialNo = `AC-${name.replaceAll(' ', '-')}`
    await registerDevice(internal, serialNo)
    const presence: unknown[] = []
    internal.subscribe(campus.presence, { serialNo }, ({ payload }) => presence.push(payload.online))
    await internal.roundTrip()
    const [first, second] = instances()
    const older = await TestDevice.connect(first, serialNo, { reconnection: true })
    const newer = await TestDevice.connect(second, serialNo)
    expect(await older.says('connection:close')).toMatchObject({ code: 4409, reconnect: false })
    // The client of a replaced connection stays away by itself.
    await eventually(() => older.disconnects[0] === 'io server disconnect')
    expect(await push(serialNo)).toEqual({ status: 'acked', response: { ack: true } })
    expect(newer.events).toEqual(['media_stop'])
    expect(older.events).toEqual([])
    expect(presence).toEqual([true, true])
    newer.close()
    await eventually(() => presence.length === 3)
    expect(presence.at(-1)).toBe(false)
    await eventually(async () => expect(push(serialNo)).rejects.toThrow(NoResponders))
  })

  test('ten at once on both instances: one is left, and it alone answers', async () => {
    await registerDevice(internal, 'AC-ten')
    const devices = Array.from({ length: 10 }, (_, i) => new TestDevice(urlOf(i % 2 ? one : two), 'AC-ten'))
    await eventually(() => {
      expect(
        devices.map(({ socket, said }) => [socket.connected, ...said]).filter(([open]) => open),
      ).toHaveLength(1)
      return true
    }, 20_000)
    const [left] = devices.filter(({ socket }) => socket.connected) as [TestDevice]
    await left.says('auth:ok')
    for (let i = 0; i < 10; i++) expect(await push('AC-ten')).toMatchObject({ status: 'acked' })
    expect(devices.reduce((sum, { received }) => sum + received.length, 0)).toBe(10)
    left.close()
  })
})

test('polling clients behind a load balancer, members of one room on both instances: each gets an event once', async () => {
  const proxy = await StickyProxy.start(one.transport.port, two.transport.port)
  const members = (['polling', 'polling', 'upgrade', 'upgrade', 'websocket', 'websocket'] as const).map(
    (transport, i) =>
      new TestDevice(proxy.url, undefined, {
        transport,
        version: (['1.7.4', '2.0.4', '2.5.0', '4.x'] as const)[i % 4] ?? '4.x',
      }),
  )
  await eventually(() => members.every(({ socket }) => socket.connected))
  expect(Math.min(...proxy.dealt)).toBeGreaterThanOrEqual(2)
  for (const member of members) expect(await member.join('wxa_student_7')).toBe('join_room:ok')
  for (let memo_id = 1; memo_id <= 20; memo_id++)
    internal.publish(campus.room, { room: 'wxa_student_7', event: 'memos_update' }, { memo_id })
  const memos = (member: TestDevice) =>
    member.said
      .filter(({ event }) => event === 'memos_update')
      .map(({ body }) => (body as { memo_id: number }).memo_id)
  await eventually(() => members.every((member) => memos(member).length >= 20))
  for (const member of members) expect(memos(member)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
  for (const member of members) member.close()
  proxy.stop()
})

describe('with processes that are killed', () => {
  const pending = async (serial_no: string) =>
    ((await internal.request(campus.device_state, {}, { serial_no })).pending ?? []).map(({ event }) => event)

  test('killed between push and acknowledgement: pushed again by whoever has the device next', async () => {
    const serialNo = 'AC-killed'
    await registerDevice(internal, serialNo)
    const gateway = await AppProcess.start('campus-socketio', 'CAMPUS', testEnvironment('CAMPUS', nats))
    const silent = new TestDevice(gateway.url, serialNo, { answer: () => undefined })
    await silent.says('auth:ok')
    for (const [event, body] of [
      ['bind_school', { id: 1, name: 'old' }],
      ['unbind_class', { unbind: true }],
      ['bind_school', { id: 1, name: 'new' }],
    ] as const)
      await internal.publishStored(campus.outbox, { serialNo, event }, body)
    await eventually(() => silent.received.length === 3)
    await gateway.stop('SIGKILL')
    silent.close()
    const device = await TestDevice.connect(one, serialNo)
    await eventually(() => device.received.length === 2)
    expect(device.received).toEqual([
      { event: 'unbind_class', body: { unbind: true } },
      { event: 'bind_school', body: { id: 1, name: 'new' } },
    ])
    await eventually(async () => (await pending(serialNo)).length === 0)
    device.close()
  })

  test('a paused instance loses its device, and says nothing about it when it goes on', async () => {
    const serialNo = 'AC-paused'
    await registerDevice(internal, serialNo)
    const gateway = await AppProcess.start('campus-socketio', 'CAMPUS', testEnvironment('CAMPUS', nats))
    const older = new TestDevice(gateway.url, serialNo)
    await older.says('auth:ok')
    gateway.signal('SIGSTOP')
    const newer = await TestDevice.connect(one, serialNo)
    const reply = push(serialNo)
    expect(await reply).toEqual({ status: 'acked', response: { ack: true } })
    gateway.signal('SIGCONT')
    await eventually(() => older.disconnects.length === 1)
    expect(await push(serialNo)).toMatchObject({ status: 'acked' })
    expect(newer.events).toEqual(['media_stop', 'media_stop'])
    expect(older.events).toEqual([])
    newer.close()
    await gateway.stop()
  })
})

test('NATS goes away and comes back: devices stay connected, and get what was stored meanwhile', async () => {
  const serialNo = 'AC-nats'
  await registerDevice(internal, serialNo)
  const device = await TestDevice.connect(one, serialNo)
  expect(await device.join(serialNo)).toBe('join_room:ok')
  await nats.halt('SIGKILL')
  await eventually(() => !one.bus.connected && !two.bus.connected)
  await nats.resume()
  await eventually(() => one.bus.connected && two.bus.connected && internal.connected, 20_000)
  await internal.publishStored(campus.outbox, { serialNo, event: 'text_stop' }, { stop: true })
  await device.gets('text_stop')
  await eventually(async () => (await push(serialNo)).status === 'acked')
  internal.publish(campus.room, { room: serialNo, event: 'remote_cmd' }, { encrypted_cmd: 'x' })
  await device.says('remote_cmd')
  expect(device.disconnects).toEqual([])

  // A device that moves while its first instance cannot hear of it.
  device.close()
})
