import { connect } from 'node:net'
import { gatewayCloseCodes, textFrame } from '@carillon/codec'
import { parseTrustedProxies, systemClock, TimingWheel } from '@carillon/service'
import { eventually, WebSocketClient } from '@carillon/testkit'
import { afterEach, describe, expect, test } from '@jest/globals'
import type { Limits, Listener } from '../src/index.ts'
import { testGateway, testListener, waysToWrite } from './gateway.ts'

describe.each(waysToWrite)('a listener that writes %s', (_name, directWriter) => {
  let listener: Listener | undefined
  let wheel: TimingWheel
  afterEach(async () => {
    await listener?.stop()
    wheel.stop()
  })

  async function start(limits: Partial<Limits> = {}, trustProxy = 'false'): Promise<Listener> {
    wheel = new TimingWheel(systemClock)
    wheel.start()
    const gateway = testGateway(wheel, limits)
    listener = testListener(gateway, {
      trustedProxies: parseTrustedProxies(trustProxy) ?? { type: 'none' },
      ...(directWriter && { directWriter }),
    })
    listener.accept(
      ['/'],
      ({ headers: { cookie = 'u' } }) => {
        if (cookie === 'never') return new Promise(() => {})
        return { ok: true, identity: { userId: cookie } }
      },
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

  const upgrade = (change: (request: string) => string = (request) => request) =>
    change(
      'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    )

  test.each([
    ['nothing', ''],
    ['half a request', 'GET / HTTP/1.1\r\nUpgrade: webso'],
    ['a body that never comes', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n'],
    [
      'an upgrade whose credentials are never looked at',
      upgrade((request) => request.replace('Host', 'Cookie: never\r\nHost')),
    ],
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
      ['false', '127.0.0.1'],
      ['1', '203.0.113.7'],
      ['10.0.0.0/8', '127.0.0.1'],
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

  test('who asks for no upgrade is told that this is a WebSocket endpoint', async () => {
    const { port } = await start()
    const response = await fetch(`http://127.0.0.1:${port}/?token=x`)
    expect([response.status, await response.json()]).toEqual([426, { error: 'a WebSocket endpoint' }])
    expect(response.headers.get('upgrade')).toBe('websocket')
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
    ...['HEAD', 'OPTIONS', 'POST', 'PUT', 'DELETE', 'PROPFIND'].map(
      (method) =>
        [`the method ${method}`, upgrade((request) => request.replace('GET', method)), 404] as const,
    ),
    ['something else altogether', '\x16\x03\x01\r\n\r\n', 400],
    [
      'too many headers',
      upgrade((request) => request.replace('Host: x', `Host: ${'x'.repeat(20_000)}`)),
      431,
    ],
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
    await eventually(() => connections.size === 0)
  })

  test('an upgraded socket outlives the time for its request', async () => {
    const { port } = await start({ unauthenticatedMs: 100 })
    const client = await WebSocketClient.connect(`ws://127.0.0.1:${port}/`)
    // Later deadlines of the same wheel have come.
    const others = Array.from({ length: 2 }, () => endedAfter(port, ''))
    await Promise.all(others)
    expect(wheel.size).toBe(0)
    client.send('x')
    expect(await client.next()).toBe('x')
    client.close()
  })

  test('sockets beyond the connections are bounded', async () => {
    const { port } = await start({ connectionsMax: 1, socketsMargin: 2 })
    const open = await WebSocketClient.connect(`ws://127.0.0.1:${port}/`)
    const idle = Array.from({ length: 2 }, () => connect(port, '127.0.0.1'))
    await Promise.all(idle.map((socket) => new Promise((resolve) => socket.once('connect', resolve))))
    expect(await endedAfter(port, upgrade())).toBe('')
    for (const socket of idle) socket.destroy()
    await eventually(async () => (await endedAfter(port, upgrade())).startsWith('HTTP/1.1 503 '))
    open.close()
  })

  test('what waits when a client leaves is still done: it may let go of something', async () => {
    const { port, connections } = await start()
    const client = await WebSocketClient.connect(`ws://127.0.0.1:${port}/`)
    const [connection] = connections
    const done: string[] = []
    connection?.inOrder(() => done.push('subscribed'), new Promise(() => {}))
    connection?.inOrder(() => done.push('cancelled another one'))
    client.close()
    await eventually(() => connections.size === 0)
    expect(done).toEqual(['subscribed', 'cancelled another one'])
    connection?.inOrder(() => done.push('left'), new Promise(() => {}))
    expect(done).toHaveLength(3)
  })

  test('who asks for more while too much waits is closed, and nothing that was asked for is forgotten', async () => {
    const { port, connections } = await start()
    const client = await WebSocketClient.connect(`ws://127.0.0.1:${port}/`)
    const [connection] = connections
    let done = 0
    connection?.inOrder(() => done++, new Promise(() => {}))
    for (let i = 0; i < 5_000; i++) connection?.inOrder(() => done++)
    expect((await client.end()).code).toBe(gatewayCloseCodes.slowConsumer.code)
    await eventually(() => connections.size === 0)
    expect(done).toBe(5_001)
  })
})
