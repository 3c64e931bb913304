import type { Bus } from '@carillon/bus'
import { NoResponders } from '@carillon/bus'
import { campus, campusEventsFor, type PushReply } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { bootCampus, type CampusService, connectInternal, registerDevice, TestDevice } from './campus.ts'
import { type ClientVersion, clientVersions } from './clients.ts'

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

const bodies: Readonly<Record<string, object>> = {
  media_notifications: {
    show_type: 'high_priority',
    ended_at: '2016-10-25T18:15:17+08:00',
    notifications: [{ type: 'image', url: 'https://cdn.adachina.net/b.jpg', duration: 3600 }],
  },
  text_notifications: { notifications: [{ content: '滚动通知1' }], ended_at: '2016-10-25T18:15:17+08:00' },
  media_stop: { stop: true },
  text_stop: { stop: true },
  unbind_class: { unbind: true },
  bind_class: { id: 1, name: '初三1班' },
  unbind_school: { unbind: true },
  bind_school: { id: 1, name: 'xx中学' },
  update_power_schedule: { power_schedule: [] },
  restart_device: { restart: true },
  upgrade_watcher: { upgrade_url: 'http://....', version: '1.0.0.1' },
  memos_unread: { updated_at: '2018-01-01T09:00' },
  app_log_upload: { batch: '29be12dcdac6739aec8c86f7fad8fbf6' },
  system_log_upload: { batch: '29be12dcdac6739aec8c86f7fad8fbf6' },
  enable_remote_cmd: { room: 'AC1' },
  disable_remote_cmd: { room: 'AC1' },
}
const answers: Readonly<Record<string, object>> = {
  device_status: { ack: true, status: 'on' },
  face_data_count: { ack: true, count: 56 },
}
const answerTo = (event: string) => answers[event] ?? { ack: true }

const push = (serialNo: string, event: string, body = bodies[event] ?? {}): Promise<PushReply> =>
  internal.request(campus.device, { serialNo, event }, body)

let devices = 0
const connect = async (options: ConstructorParameters<typeof TestDevice>[2] = {}) => {
  const serialNo = `AC${++devices}`
  await registerDevice(internal, serialNo)
  return TestDevice.connect(service, serialNo, options)
}

describe.each(Object.keys(clientVersions) as ClientVersion[])('client %s', (version) => {
  test.each([
    ['an object', (answer: object): unknown => answer],
    ['JSON text', (answer: object): unknown => JSON.stringify(answer)],
  ])('every event of a device, answered with %s', async (_form, print) => {
    const device = await connect({ version, answer: (event) => print(answerTo(event)) })
    for (const event of campusEventsFor('device')) {
      const reply = await push(device.serialNo as string, event)
      expect({ event, ...reply }).toEqual({ event, status: 'acked', response: answerTo(event) })
      expect(device.received.at(-1)).toEqual({ event, body: bodies[event] ?? {} })
    }
    device.close()
  })

  test('every event of a room, which nobody answers', async () => {
    const device = await connect({ version })
    expect(await device.join('bp_student_11')).toBe('join_room:ok')
    const events = {
      memos_update: { memo_id: 20 },
      memos_read: { memo_ids: [20, 22, 24] },
      remote_cmd: { encrypted_cmd: 'a.b.c' },
      cmd_result: { result: 'ok' },
    }
    for (const [event, body] of Object.entries(events))
      internal.publish(campus.room, { room: 'bp_student_11', event }, body)
    await eventually(() => device.said.length === 6)
    expect(device.said.slice(2)).toEqual(Object.entries(events).map(([event, body]) => ({ event, body })))
    device.close()
  })
})

describe('what a live push is answered with', () => {
  test('a wrong answer is rejected, with the answer', async () => {
    const device = await connect({ answer: () => ({ ack: false }) })
    expect(await push(device.serialNo as string, 'media_stop')).toMatchObject({
      status: 'rejected',
      response: { ack: false },
    })
    device.close()
  })

  test('no answer in time', async () => {
    const device = await connect({ answer: () => undefined })
    expect(await push(device.serialNo as string, 'media_stop')).toEqual({ status: 'timeout' })
    device.close()
  })

  test('a device that goes away before it answers', async () => {
    const device: TestDevice = await connect({
      answer: () => {
        device.close()
        return undefined
      },
    })
    expect(await push(device.serialNo as string, 'media_stop')).toMatchObject({ status: 'timeout' })
  })

  test('no such device, and one that has gone: nobody is there, at once', async () => {
    await expect(push('nobody', 'media_stop')).rejects.toThrow(NoResponders)
    const device = await connect()
    device.close()
    await eventually(async () => {
      await expect(push(device.serialNo as string, 'media_stop')).rejects.toThrow(NoResponders)
    })
  })

  test('a body that is not the event’s', async () => {
    const device = await connect()
    await expect(push(device.serialNo as string, 'bind_class', { id: 'one' })).rejects.toThrow(
      '/id must be integer',
    )
    await expect(push(device.serialNo as string, 'memos_update', { memo_id: 1 })).rejects.toThrow(
      'not for a device',
    )
    expect(device.received).toEqual([])
    device.close()
  })

  test('more pushes at once than a device may have', async () => {
    const device = await connect({ answer: () => undefined })
    const replies = await Promise.all(
      Array.from({ length: 120 }, () => push(device.serialNo as string, 'media_stop')),
    )
    expect(replies.filter(({ status }) => status === 'timeout')).toHaveLength(100)
    expect(replies.filter(({ status }) => status === 'rejected')).toHaveLength(20)
    device.close()
  })
})

test('acknowledgements and presence are published', async () => {
  const told: unknown[] = []
  const serialNo = 'AC-told'
  internal.subscribe(campus.ack, { serialNo }, ({ params, payload }) => told.push({ ...params, ...payload }))
  internal.subscribe(campus.presence, { serialNo }, ({ payload }) => told.push(payload))
  await internal.roundTrip()
  await registerDevice(internal, serialNo)
  const device = await TestDevice.connect(service, serialNo, { answer: answerTo })
  await push(serialNo, 'face_data_count')
  device.close()
  await eventually(() => told.length === 3)
  const instance_id = service.instanceId
  expect(told).toEqual([
    { serial_no: serialNo, online: true, at: expect.any(Number), instance_id },
    {
      ...{ serialNo, serial_no: serialNo, event: 'face_data_count' },
      ...{ response: { ack: true, count: 56 }, latency_ms: expect.any(Number) },
    },
    { serial_no: serialNo, online: false, at: expect.any(Number), instance_id },
  ])
})

test('remote debugging: the command to the device, its result to the web page, and not back', async () => {
  const device = await connect({ version: '2.5.0' })
  const serialNo = device.serialNo as string
  const page = await TestDevice.anonymous(service, { version: '2.0.4', transport: 'polling' })
  expect(await page.join(serialNo)).toBe('join_room:ok')
  expect(await push(serialNo, 'enable_remote_cmd', { room: serialNo })).toMatchObject({ status: 'acked' })
  expect(await device.join(serialNo)).toBe('join_room:ok')
  internal.publish(campus.room, { room: serialNo, event: 'remote_cmd' }, { encrypted_cmd: 'a.b.c' })
  expect(await device.says('remote_cmd')).toEqual({ encrypted_cmd: 'a.b.c' })

  const published: unknown[] = []
  internal.subscribe(campus.room, { room: serialNo }, ({ params, payload }) =>
    published.push([params.event, payload]),
  )
  await internal.roundTrip()
  device.socket.emit('cmd_result', { result: 'ok' })
  expect(await page.says('cmd_result')).toEqual({ result: 'ok' })
  await eventually(() => published.length === 1)
  expect(published).toEqual([['cmd_result', { result: 'ok' }]])
  expect(device.said.map(({ event }) => event)).not.toContain('cmd_result')
  expect(await device.leave(serialNo)).toBe('leave_room:ok')
  device.close()
  page.close()
})

describe('the device registry', () => {
  test('says what it knows, and whether the device is there', async () => {
    const serial_no = 'AC-state'
    const state = () => internal.request(campus.device_state, {}, { serial_no })
    expect(await state()).toMatchObject({ error_code: -1, registered: false, online: false })
    await registerDevice(internal, serial_no, { class_id: 3, school_id: 4, student_ids: [5] })
    expect(await state()).toEqual({
      ...{ error_code: 0, error_reason: '', serial_no, registered: true, online: false, pending: [] },
      ...{ class_id: 3, school_id: 4, student_ids: [5] },
    })
    const device = await TestDevice.connect(service, serial_no)
    expect(await state()).toMatchObject({ online: true, instance_id: service.instanceId })
    device.close()
    await eventually(async () => (await state()).online === false)
  })

  test('a deleted device is closed, and does not come in again', async () => {
    const device = await connect()
    const serial_no = device.serialNo as string
    expect(await internal.request(campus.device_delete, {}, { serial_no })).toMatchObject({ error_code: 0 })
    expect(await device.says('connection:close')).toMatchObject({ code: 4404 })
    await eventually(() => device.disconnects.length === 1)
    const again = new TestDevice(`http://127.0.0.1:${service.transport.port}`, serial_no)
    expect(await again.says('auth:fail')).toEqual({ error_msg: 'signature not valid.' })
    again.close()
    expect(await internal.request(campus.device_delete, {}, { serial_no })).toMatchObject({ error_code: -1 })
  })

  test('another key closes the connection, another class does not', async () => {
    const device = await connect()
    const serial_no = device.serialNo as string
    await registerDevice(internal, serial_no, { class_id: 9 })
    expect(await push(serial_no, 'media_stop')).toMatchObject({ status: 'acked' })
    await registerDevice(internal, serial_no, { device_key: 'another' })
    await eventually(() => device.disconnects.length === 1)
  })
})
