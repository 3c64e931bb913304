import { connect } from 'node:net'
import { gatewayCloseCodes, textFrame } from '@carillon/codec'
import { createLogger, Metrics, systemClock, TimingWheel } from '@carillon/service'
import { eventually, WebSocketClient } from '@carillon/testkit'
import { afterEach, expect, test } from '@jest/globals'
import { type Connection, defaultLimits, Gateway, type Limits, Listener } from '../src/index.ts'

let listener: Listener | undefined
afterEach(() => listener?.stop())

async function start(limits: Partial<Limits> = {}, trustProxy = false): Promise<Listener> {
  const gateway = new Gateway<Connection>({
    service: 'test',
    limits: { ...defaultLimits, ...limits },
    closeCodes: gatewayCloseCodes,
    clock: systemClock,
    wheel: new TimingWheel(systemClock),
    log: createLogger('test', 'test', 'fatal'),
    metrics: new Metrics('test'),
  })
  listener = new Listener(gateway, {
    host: '127.0.0.1',
    port: 0,
    portVariable: 'TEST_PORT',
    trustProxy,
    errorFrame: ({ message }) => textFrame(message),
    idleTimeoutMs: () => 0,
  })
  listener.accept(
    ['/'],
    () => ({ ok: true, identity: { userId: 'u' } }),
    (connection) => ({
      text(frame) {
        if (frame === 'mistake') throw new Error('our own')
        connection.send(textFrame(frame))
      },
      closed() {},
    }),
  )
  await listener.start()
  return listener
}

test.each([
  ['nothing', ''],
  ['half a request', 'GET / HTTP/1.1\r\nUpgrade: webso'],
])('a TCP connection that sends %s is ended in time', async (_name, bytes) => {
  const { port } = await start({ unauthenticatedMs: 200 })
  const socket = connect(port, '127.0.0.1')
  let ended = false
  socket.on('error', () => {})
  socket.once('close', () => {
    ended = true
  })
  socket.write(bytes)
  socket.resume()
  await eventually(() => ended, 5_000)
})

test('an address is that of the socket, or of the proxy that is trusted', async () => {
  const headers = { 'X-Forwarded-For': '203.0.113.7' }
  for (const [trusted, address] of [
    [false, '127.0.0.1'],
    [true, '203.0.113.7'],
  ] as const) {
    const { port, connections } = await start({}, trusted)
    const client = await WebSocketClient.connect(`ws://127.0.0.1:${port}/`, { headers })
    expect([...connections].map(({ remoteAddress }) => remoteAddress)).toEqual([address])
    client.close()
    await listener?.stop()
  }
})

test('a mistake of a handler closes its own connection and no other', async () => {
  const { port } = await start()
  const [one, other] = [
    await WebSocketClient.connect(`ws://127.0.0.1:${port}/`),
    await WebSocketClient.connect(`ws://127.0.0.1:${port}/`),
  ]
  one.send('mistake')
  expect(await one.end()).toEqual({ code: 1011, reason: 'internal error' })
  other.send('x')
  expect(await other.next()).toBe('x')
  other.close()
})

test('the limit of an instance holds for connects that come at once', async () => {
  const { port, connections } = await start({ connectionsMax: 5 })
  const attempts = await Promise.allSettled(
    Array.from({ length: 50 }, () => WebSocketClient.connect(`ws://127.0.0.1:${port}/`)),
  )
  const open = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []))
  expect(open).toHaveLength(5)
  expect(connections.size).toBe(5)
  for (const client of open) client.close()
})

const upgrade = (change: (request: string) => string = (request) => request) =>
  change(
    'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
  )
/** Sends bytes and answers everything that came back until the server ended the connection. */
async function endedAfter(port: number, ...pieces: (string | Buffer)[]): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let received = ''
  let ended = false
  socket.on('data', (data) => {
    received += data.toString('latin1')
  })
  socket.on('error', () => {})
  socket.once('close', () => {
    ended = true
  })
  for (const piece of pieces) socket.write(piece)
  await eventually(() => ended, 5_000)
  return received
}

test.each([
  ['no key', upgrade((request) => request.replace(/Sec-WebSocket-Key.*\r\n/, '')), 400],
  ['an old version', upgrade((request) => request.replace('13', '12')), 400],
  ['another protocol', upgrade((request) => request.replace('websocket', 'h2c')), 400],
  ['a path that cannot be decoded', upgrade((request) => request.replace('GET /', 'GET /%ZZ')), 400],
  ['another path', upgrade((request) => request.replace('GET /', 'GET /other')), 404],
  ['another method', upgrade((request) => request.replace('GET', 'POST')), 404],
  ['something else altogether', '\x16\x03\x01\r\n\r\n', 400],
  ['too many headers', upgrade((request) => request.replace('Host: x', `Host: ${'x'.repeat(20_000)}`)), 431],
])('an upgrade with %s is answered and ended', async (_name, request, status) => {
  const { port, connections } = await start()
  expect(await endedAfter(port, request)).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  expect(connections.size).toBe(0)
})

test.each([
  ['is not masked', '810141'],
  ['has reserved bits', 'f18000000000'],
  ['has an unknown opcode', '838000000000'],
  ['is a ping of 256 bytes', `89fe010000000000${'00'.repeat(256)}`],
  ['continues nothing', '808000000000'],
  ['claims 2^63 bytes', '81ff7fffffffffffffff00000000'],
  ['is a close with half a code', '88810000000001'],
])('a frame that %s: an error, then the end', async (_name, hex) => {
  const { port, connections } = await start()
  const received = await endedAfter(port, upgrade(), Buffer.from(hex, 'hex'))
  expect(received).toMatch(/^HTTP\/1.1 101 /)
  expect(received).toMatch(/not a valid WebSocket frame|a frame may have/)
  expect(connections.size).toBe(0)
})
