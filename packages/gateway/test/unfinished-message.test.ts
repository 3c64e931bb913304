import { connect, type Socket } from 'node:net'
import { textFrame } from '@carillon/codec'
import { Metrics, systemClock, TimingWheel } from '@carillon/service'
import { eventually, WebSocketClient } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import type { Connection, Limits, Listener } from '../src/index.ts'
import { testGateway, testListener } from './gateway.ts'

let wheel: TimingWheel
let listener: Listener | undefined
const sockets: Socket[] = []
beforeEach(() => {
  wheel = new TimingWheel(systemClock)
  wheel.start()
})
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await listener?.stop()
  wheel.stop()
})

async function start(limits: Partial<Limits> = {}) {
  const gateway = testGateway(wheel, limits)
  listener = testListener(gateway, { errorFrame: ({ code }) => textFrame(code) })
  listener.accept(
    ['/:user'],
    ({ params }) => ({ ok: true, identity: { userId: (params as { user: string }).user } }),
    (connection) => ({ text: (frame) => connection.send(textFrame(`${frame.length} bytes`)), closed() {} }),
  )
  await listener.start()
  return gateway
}

/** A raw client: its socket, and what has come back. */
async function open(user = 'u') {
  const socket = connect(listener?.port as number, '127.0.0.1')
  sockets.push(socket)
  const state = { socket, received: '' }
  socket.on('data', (data) => {
    state.received += data.toString('latin1')
  })
  socket.on('error', () => {})
  socket.write(
    `GET /${user} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`,
  )
  await eventually(() => state.received.includes('101 Switching'))
  return state
}
const MASK = '00000000'
/** A masked fragment of one byte. */
const fragment = (first: boolean, last = false) =>
  Buffer.from(`${last ? '8' : '0'}${first ? '1' : '0'}81${MASK}61`, 'hex')
/** A masked text frame that announces so many bytes, and has fewer. */
const partOf = (announced: number, sent: number) => {
  const header = Buffer.from(`81ff00000000${announced.toString(16).padStart(8, '0')}${MASK}`, 'hex')
  return Buffer.concat([header, Buffer.alloc(sent, 0x61)])
}

describe('a message in fragments', () => {
  test('is one message, with a ping in between', async () => {
    await start()
    const client = await open()
    const pieces = [fragment(true), Buffer.from(`8980${MASK}`, 'hex')]
    for (let i = 0; i < 62; i++) pieces.push(fragment(false))
    client.socket.write(Buffer.concat([...pieces, fragment(false, true)]))
    await eventually(() => client.received.includes('64 bytes'))
  })

  test('16,000 fragments of one byte: an error, then the end', async () => {
    const gateway = await start()
    const client = await open()
    client.socket.write(
      Buffer.concat([fragment(true), ...Array.from({ length: 15_999 }, () => fragment(false))]),
    )
    await eventually(() => client.received.includes('too_many_fragments'))
    await eventually(() => gateway.connections.size === 0)
    expect(gateway.unfinished.bytes).toBe(0)
  })

  test('a frame that comes byte by byte: an error, then the end', async () => {
    const gateway = await start({ piecesMax: 10 })
    const client = await open()
    client.socket.setNoDelay(true)
    client.socket.write(partOf(1_000, 0))
    await eventually(async () => {
      client.socket.write('a')
      return client.received.includes('too_many_fragments')
    })
    await eventually(() => gateway.connections.size === 0)
  })
})

describe('a message that is not completed', () => {
  test.each([
    ['one fragment', fragment(true)],
    ['half a frame', partOf(1_000, 10)],
    ['half a header', Buffer.from('81', 'hex')],
  ])('%s: an error after a time, then the end', async (_name, bytes) => {
    const gateway = await start({ unfinishedMessageMs: 300 })
    const client = await open()
    client.socket.write(bytes)
    await eventually(() => client.received.includes('unfinished_message'))
    await eventually(() => gateway.connections.size === 0)
    expect(gateway.unfinished.bytes).toBe(0)
  })

  test('pings do not prolong it', async () => {
    await start({ unfinishedMessageMs: 500 })
    const client = await open()
    client.socket.write(fragment(true))
    await eventually(() => {
      client.socket.write(Buffer.from(`8980${MASK}`, 'hex'))
      return client.received.includes('unfinished_message')
    })
  })

  test('a client that sends one message after the other is not unfinished, however its bytes are cut', async () => {
    const gateway = await start({
      unfinishedMessageMs: 300,
      framesPerSecondMax: 10_000,
      framesPerSecondPerUserMax: 10_000,
    })
    const client = await open()
    const whole = partOf(1_000, 1_000)
    const startedAt = performance.now()
    client.socket.write(whole.subarray(0, 500))
    await eventually(() => {
      client.socket.write(Buffer.concat([whole.subarray(500), whole.subarray(0, 500)]))
      return performance.now() - startedAt > 1_000
    })
    expect(client.received).not.toContain('unfinished_message')
    expect(gateway.connections.size).toBe(1)
    client.socket.write(whole.subarray(500))
    await eventually(() => gateway.unfinished.bytes === 0)
  })

  test('bytes are bounded for each user and in total; others go on', async () => {
    const gateway = await start({ unfinishedBytesPerUserMax: 100_000, unfinishedBytesMax: 150_000 })
    const clients = [await open('a'), await open('a'), await open('b'), await open('c')] as const
    const [one, two, three, four] = clients
    one.socket.write(partOf(200_000, 60_000))
    await eventually(() => gateway.unfinished.bytes > 60_000)
    two.socket.write(partOf(200_000, 60_000))
    await eventually(() => two.received.includes('unfinished_message'))
    await eventually(() => gateway.connections.size === 3)
    three.socket.write(partOf(200_000, 60_000))
    await eventually(() => gateway.unfinished.bytes > 120_000)
    four.socket.write(partOf(200_000, 60_000))
    await eventually(() => four.received.includes('unfinished_message'))
    const other = await WebSocketClient.connect(`ws://127.0.0.1:${listener?.port}/d`)
    other.send('abc')
    expect(await other.next()).toBe('3 bytes')
    other.close()
    for (const { socket } of clients) socket.destroy()
    await eventually(() => gateway.connections.size === 0)
    expect(gateway.unfinished.bytes).toBe(0)
  })
})

test('frames are bounded over all connections of a user, and not over those of others', async () => {
  await start({ framesBurstPerUserMax: 30, framesPerSecondPerUserMax: 1, violationsMax: 1_000 })
  const connectAs = (user: string) => WebSocketClient.connect(`ws://127.0.0.1:${listener?.port}/${user}`)
  const [one, two, other] = [await connectAs('a'), await connectAs('a'), await connectAs('b')]
  for (let i = 0; i < 20; i++) for (const client of [one, two, other]) client.send('x')
  await eventually(() => [one, two, other].every(({ frames }) => frames.length === 20))
  const answered = (clients: WebSocketClient[]) =>
    clients.flatMap(({ frames }) => frames).filter((frame) => frame === '1 bytes').length
  expect(answered([one, two])).toBeGreaterThanOrEqual(30)
  expect(answered([one, two])).toBeLessThan(36)
  expect(answered([other])).toBe(20)
  for (const client of [one, two, other]) client.close()
})

test('close codes that clients make up are one label', async () => {
  const metrics = new Metrics('labels')
  const gateway = testGateway(wheel, {}, { metrics })
  for (const code of [1000, 1006, 4408, 3000, 3999, 4000, 4999]) {
    gateway.ended({ identity: undefined, remoteAddress: '' } as Connection, code)
  }
  const shown = await metrics.registry.getSingleMetricAsString('carillon_connections_closed_total')
  const counts = Object.fromEntries(
    [...shown.matchAll(/code="(\w+)"[^}]*\} (\d+)/g)].map(([, code, n]) => [code, n]),
  )
  expect(counts).toEqual({ 1000: '1', 1006: '1', 4408: '1', other: '4' })
})
