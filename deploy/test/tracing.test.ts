import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Bus } from '@carillon/bus'
import { auction, campus, voice } from '@carillon/events'
import { AppProcess, eventually, loginToken, NatsServer, testEnvironment } from '@carillon/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { bootAuction, connectAuction, readMetrics } from '../../apps/auction-push/test/auction.ts'
import { bootCampus, registerDevice, TestDevice } from '../../apps/campus-socketio/test/campus.ts'
import { ImClient, parametersOf } from '../../apps/im-gateway/test/im-client.ts'
import { bootVoice, VoiceClient } from '../../apps/voice-room-ws/test/voice.ts'
import { OtlpReceiver } from './otlp-receiver.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = '00f067aa0ba902b7'
const traced = { headers: { traceparent: `00-${TRACE}-${PARENT}-01`, tracestate: 'vendor=1' } }
const publisher = { traceId: TRACE, spanId: PARENT }
const bid = (auctionId: number, nickName = 'Ann') => ({
  ...{ amount: 7, nickName, avatar: '', userId: 1, auctionId },
})

let nats: NatsServer
let bus: Bus
let receiver: OtlpReceiver
const ends: (() => unknown)[] = []
beforeAll(async () => {
  nats = await NatsServer.start()
  receiver = await OtlpReceiver.start()
  bus = new Bus({ url: nats.url, name: 'internal service' })
  bus.start()
  await eventually(() => bus.connected)
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})
afterAll(async () => {
  await bus?.stop()
  await receiver?.stop()
  await nats?.stop()
})

const subscribe = (auctionId: number) =>
  JSON.stringify({ key: 'auction_subscribe', data: { event: 'bid', auctionId } })

test("a publisher's trace goes on to the socket write; a message without one begins none", async () => {
  const service = await bootAuction(nats, receiver.environment)
  ends.push(() => service.stop())
  const client = await connectAuction(service)
  ends.push(() => client.close())
  client.send(subscribe(3607))
  expect(await client.next()).toBe('success')
  bus.publish(auction.bid, { auctionId: '3607' }, bid(3607, 'nobody-traces-this'))
  bus.publish(auction.bid, { auctionId: '3607' }, bid(3607, 'secret-nickname'), traced)
  expect(await client.next()).toContain('nobody-traces-this')
  expect(await client.next()).toContain('secret-nickname')

  const processed = await receiver.child('process auction.{auctionId}.bid', publisher)
  expect(processed).toMatchObject({
    service: 'auction-push',
    failed: false,
    attributes: {
      'messaging.system': 'nats',
      'messaging.operation.type': 'process',
      'messaging.destination.name': 'auction.{auctionId}.bid',
    },
  })
  await receiver.child('write', processed)
  // One message of two: the other one came before it.
  const names = receiver.spans.filter(({ name }) => name.startsWith('process auction'))
  expect(names).toHaveLength(1)
  const said = Buffer.concat(receiver.bodies).toString()
  for (const secret of ['secret-nickname', '3607', await loginToken(3600)]) expect(said).not.toContain(secret)
  expect(await readMetrics(service)).toMatch(/carillon_trace_spans_exported_total\{[^}]*\} [1-9]/)
})

test("a voice report and a campus device's answer lead to what is published for them", async () => {
  // One of the processes' services exports for all of them.
  const service = await bootAuction(nats, receiver.environment)
  ends.push(() => service.stop())

  const voiceService = await bootVoice(nats, {
    // A busy machine must not redrive the notice, nor end a client that sends no heartbeats.
    VOICE_RELAY_TIMEOUT_MS: '60000',
    VOICE_HEARTBEAT_TIMEOUT_MS: '600000',
  })
  ends.push(() => voiceService.stop())
  const reports: (string | undefined)[] = []
  bus.subscribe(voice.report, {}, ({ header }) => reports.push(header('traceparent')))
  const acks: (string | undefined)[] = []
  bus.subscribe(campus.ack, {}, ({ header }) => acks.push(header('traceparent')))
  await bus.roundTrip()
  const member = await VoiceClient.connect(voiceService, '42')
  ends.push(() => member.kill())
  const speaker = await VoiceClient.connect(voiceService, '41')
  ends.push(() => speaker.kill())
  const broadcast = { headers: { 'Carillon-Delivery': 'broadcast' } }
  for (const user_id of [41, 42])
    await bus.request(voice.room, { channelName: 'hall', action: 'enter_room' }, { user_id }, broadcast)
  await eventually(async () => {
    const { members } = await bus.request(voice.room_state, {}, { channel_name: 'hall' })
    return members.filter(({ online }) => online).length === 2
  })
  const notice = { user_id: 41, content: 'secret-content' }
  const told = bus.request(voice.room, { channelName: 'hall', action: 'send_topic_msg' }, notice, {
    ...traced,
    timeoutMs: 60_000,
  })
  await eventually(() => member.socket.frames.some((frame) => frame.includes('secret-content')))
  member.report('send_topic_msg_report', '41')
  expect(await told).toMatchObject({ delivered: true, confirmed: true })
  // From the queue to the member's socket, over whatever is between.
  const queued = await eventually(() => {
    // One instance waits for the outcome with the asker's own copy, and one does the work.
    const copies = receiver.spans.filter(({ name }) => name === 'process voice.room.{channelName}.{action}')
    const written = receiver.spans
      .filter(({ name }) => name === 'write')
      .map(({ parentSpanId }) => parentSpanId)
    return copies.find(({ spanId }) => written.includes(spanId)) ?? false
  }, 60_000)
  expect(queued).toMatchObject({ traceId: TRACE, parentSpanId: PARENT, failed: false })
  const report = await receiver.find(({ name }) => name === 'report send_topic_msg_report')
  expect(report.parentSpanId).toBeUndefined()
  const reported = await receiver.child('publish voice.report.{action}', report)
  await eventually(() => reports.length > 0)
  expect(reports[0]).toBe(`00-${reported.traceId}-${reported.spanId}-01`)

  const campusService = await bootCampus(nats, { CAMPUS_ACK_TIMEOUT_MS: '60000' })
  ends.push(() => campusService.stop())
  await registerDevice(bus, 'AC-secret-serial')
  const device = await TestDevice.connect(campusService, 'AC-secret-serial')
  ends.push(() => device.close())
  const serialNo = 'AC-secret-serial'
  const push = { updated_at: 'now' }
  const pushed = await eventually(async () =>
    bus.request(campus.device, { serialNo, event: 'memos_unread' }, push, { ...traced, timeoutMs: 70_000 }),
  )
  expect(pushed.status).toBe('acked')
  const served = await receiver.child('process campus.device.{serialNo}.{event}', publisher)
  await receiver.child('write', served)
  const answered = await receiver.child('ack memos_unread', served)
  const acknowledged = await receiver.child('publish campus.ack.{serialNo}.{event}', answered)
  await eventually(() => acks.length > 0)
  expect(acks[0]).toBe(`00-${TRACE}-${acknowledged.spanId}-01`)
  expect(Buffer.concat(receiver.bodies).toString()).not.toMatch(/secret-content|secret-serial/)
}, 180_000)

test("an IM client's request is followed into im-messages and back to the socket", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-tracing-'))
  ends.push(() => rm(folder, { recursive: true, force: true }))
  const environment = { NATS_URL: nats.url, CARILLON_HOME: folder, ...receiver.environment }
  const [, gateway] = await Promise.all(
    (
      [
        ['im-messages', 'IM_MESSAGES'],
        ['im-gateway', 'IM'],
      ] as const
    ).map(async ([app, prefix]) => {
      const started = await AppProcess.start(app, prefix, {
        ...testEnvironment(prefix, nats),
        ...environment,
      })
      ends.push(() => started.stop('SIGKILL'))
      return started
    }),
  )
  const token = await loginToken('secretuser')
  const client = new ImClient((gateway as AppProcess).port, { ...parametersOf('secretuser'), token })
  ends.push(() => client.socket.terminate())
  await eventually(() => client.texts.includes('connected'), 60_000)
  const response = await client.request('SyncConvSeq', { convIdList: [] })
  expect(response.code).toBe('Success')

  const request = await receiver.find(({ name }) => name === 'request SyncConvSeq')
  expect(request).toMatchObject({ service: 'im-gateway', parentSpanId: undefined })
  const asked = await receiver.find(
    ({ name, parentSpanId }) => name.startsWith('request im.rpc.') && parentSpanId === request.spanId,
  )
  expect(asked.attributes).toMatchObject({ 'messaging.operation.name': 'request' })
  const served = await receiver.child(asked.name.replace('request', 'process'), asked)
  expect(served.service).toBe('im-messages')
  await receiver.child('write', request)
  const said = Buffer.concat(receiver.bodies).toString()
  for (const secret of ['secretuser', token]) expect(said).not.toContain(secret)
}, 180_000)

test('spans are sent as protobuf where the protocol says so, which is the default', async () => {
  const { OTEL_EXPORTER_OTLP_PROTOCOL: _, ...environment } = receiver.environment
  const service = await bootAuction(nats, environment)
  ends.push(() => service.stop())
  const client = await connectAuction(service)
  ends.push(() => client.close())
  client.send(subscribe(1))
  await client.next()
  bus.publish(auction.bid, { auctionId: '1' }, bid(1), traced)
  await eventually(() => receiver.contentTypes.has('application/x-protobuf'))
  expect(receiver.bodies.some((body) => body.includes('process auction.{auctionId}.bid'))).toBe(true)
})

test('a collector that never answers stops nothing, costs a bounded queue, and delays the end by little', async () => {
  const sockets = new Set<Socket>()
  let refusing = false
  const refuse = (socket: Socket) => socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')
  const silent = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', () => refusing && refuse(socket))
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  ends.push(async () => {
    // So that the exporter, which outlives its service here, gives up.
    refusing = true
    for (const socket of sockets) refuse(socket)
    await eventually(() => sockets.size === 0)
    await new Promise((resolve) => silent.close(resolve))
  })
  // The exporter itself would wait for an hour.
  process.env.OTEL_EXPORTER_OTLP_TIMEOUT = '3600000'
  ends.push(() => {
    delete process.env.OTEL_EXPORTER_OTLP_TIMEOUT
  })
  const service = await bootAuction(nats, {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(silent.address() as AddressInfo).port}`,
    OTEL_BSP_SCHEDULE_DELAY: '10',
    OTEL_BSP_EXPORT_TIMEOUT: '3600000',
    OTEL_BSP_MAX_QUEUE_SIZE: '20',
  })
  let stopping: Promise<void> | undefined
  ends.push(() => (stopping ??= service.stop()))
  const client = await connectAuction(service)
  ends.push(() => client.close())
  client.send(subscribe(1))
  await client.next()
  for (let i = 0; i < 500; i++) bus.publish(auction.bid, { auctionId: '1' }, bid(1), traced)
  await eventually(() => client.frames.length === 501)
  await eventually(() => sockets.size > 0)
  const metrics = await readMetrics(service)
  const count = (name: string) => Number(new RegExp(`${name}\\{[^}]*\\} (\\d+)`).exec(metrics)?.[1])
  expect(count('carillon_trace_spans_total')).toBe(1_000)
  expect(count('carillon_trace_spans_exported_total')).toBe(0)
  // It ends at all: the test's own time would be over long before the exporter's.
  stopping = service.stop()
  await stopping
})

test.each([
  [{ OTEL_SDK_DISABLED: 'true' }],
  [{ OTEL_TRACES_EXPORTER: 'none' }],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }],
  [{ OTEL_TRACES_SAMPLER: 'always_off' }],
])('%j: no spans, and what came in headers harms nobody', async (environment) => {
  const before = receiver.bodies.length
  const service = await bootAuction(nats, { ...receiver.environment, ...environment })
  ends.push(() => service.stop())
  const client = await connectAuction(service)
  ends.push(() => client.close())
  client.send(subscribe(2))
  await client.next()
  for (const traceparent of ['nonsense', `00-${'0'.repeat(32)}-${PARENT}-01`, traced.headers.traceparent])
    bus.publish(auction.bid, { auctionId: '2' }, bid(2), {
      headers: { traceparent, tracestate: ',=,'.repeat(500) },
    })
  await eventually(() => client.frames.length === 4)
  // Whatever was to be exported is exported by the end of the service.
  await service.stop()
  expect(receiver.bodies).toHaveLength(before)
})

test.each([
  ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
  ['OTEL_TRACES_SAMPLER', 'sometimes'],
  ['OTEL_TRACES_SAMPLER_ARG', '2'],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
])('%s=%s is refused at the start', async (name, value) => {
  await expect(bootAuction(nats, { [name]: value })).rejects.toThrow(name)
})
