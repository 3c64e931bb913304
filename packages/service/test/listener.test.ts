import { connect } from 'node:net'
import { gatewayCloseCodes, textFrame } from '@carillon/codec'
import { eventually, WebSocketClient } from '@carillon/testkit'
import { afterEach, expect, test } from '@jest/globals'
import {
  createLogger,
  defaultLimits,
  type Limits,
  Listener,
  Metrics,
  systemClock,
  TimingWheel,
} from '../src/index.ts'

let listener: Listener | undefined
afterEach(() => listener?.stop())

async function start(limits: Partial<Limits> = {}, trustProxy = false): Promise<Listener> {
  listener = new Listener({
    service: 'test',
    host: '127.0.0.1',
    port: 0,
    portVariable: 'TEST_PORT',
    trustProxy,
    limits: { ...defaultLimits, ...limits },
    closeCodes: gatewayCloseCodes,
    errorFrame: ({ message }) => textFrame(message),
    idleTimeoutMs: () => 0,
    clock: systemClock,
    wheel: new TimingWheel(systemClock),
    log: createLogger('test', 'test', 'fatal'),
    metrics: new Metrics('test'),
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
