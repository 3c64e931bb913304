import { connect, type Socket } from 'node:net'
import { eventually } from '@carillon/testkit'
import { afterEach, describe, expect, test } from '@jest/globals'
import type { FastifyInstance } from 'fastify'
import { createHttpServer, listen, systemClock, TimingWheel } from '../src/index.ts'

let server: FastifyInstance | undefined
let wheel: TimingWheel | undefined
const sockets: Socket[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await server?.close()
  wheel?.stop()
})

async function start(options: { requestTimeoutMs?: number; socketsMax?: number; keepAlive?: boolean } = {}) {
  const { requestTimeoutMs = 300, socketsMax = 100, keepAlive = true } = options
  wheel = new TimingWheel(systemClock)
  wheel.start()
  let refused = 0
  server = createHttpServer({
    wheel,
    requestTimeoutMs,
    socketsMax: () => socketsMax,
    onSocketRefused: () => {
      refused += 1
    },
    keepAlive,
  })
  server.get('/', async () => ({ answer: 42 }))
  server.get('/large', async () => 'x'.repeat(50_000_000))
  server.get('/never', () => new Promise(() => {}))
  const port = await listen(server, { service: 'test', host: '127.0.0.1', port: 0, variable: 'TEST_PORT' })
  return { port, refused: () => refused }
}

/** A client's socket, what came on it, and whether the server has ended it. */
function open(port: number, bytes = '') {
  const socket = connect(port, '127.0.0.1')
  sockets.push(socket)
  const state = { socket, received: '', ended: false }
  socket.on('data', (data) => {
    state.received += data.toString('latin1')
  })
  socket.on('error', () => {})
  socket.once('close', () => {
    state.ended = true
  })
  socket.write(bytes)
  return state
}

describe('every socket has a deadline', () => {
  test.each([
    ['that sends nothing', ''],
    ['that sends half a head', 'GET / HTTP/1.1\r\nHost: '],
    ['whose body never comes', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n'],
    [
      'whose chunks never end',
      'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
    ],
    [
      'that expects to continue',
      'PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n',
    ],
    ['whose handler never answers', 'GET /never HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['that asks for a tunnel', 'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['that upgrades to nothing', 'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n'],
    ['that has been answered', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
  ])('one %s is ended in time', async (_name, bytes) => {
    const { port } = await start()
    const client = open(port, bytes)
    await eventually(() => client.ended)
  })

  test('one that does not read its response is ended in time', async () => {
    const { port } = await start()
    const client = open(port)
    client.socket.pause()
    client.socket.write('GET /large HTTP/1.1\r\nHost: x\r\n\r\n')
    await eventually(async () => (await connectionsOf()) === 1)
    await eventually(async () => (await connectionsOf()) === 0)
  })
})

const connectionsOf = () =>
  new Promise<number>((resolve, reject) =>
    server?.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  )

test('a request that comes slowly, but in time, is answered, and another one after it', async () => {
  const { port } = await start({ requestTimeoutMs: 10_000 })
  const client = open(port, 'GET / HT')
  client.socket.write('TP/1.1\r\nHost: x\r\n\r\n')
  await eventually(() => client.received.includes('{"answer":42}'))
  client.received = ''
  client.socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await eventually(() => client.received.includes('{"answer":42}'))
})

test('without keep-alive a socket carries one request', async () => {
  const { port } = await start({ keepAlive: false, requestTimeoutMs: 60_000 })
  const client = open(port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await eventually(() => client.ended)
  expect(client.received).toMatch(/connection: close/i)
})

test('sockets are bounded in total, and those that were refused are counted', async () => {
  const { port, refused } = await start({ socketsMax: 3, requestTimeoutMs: 60_000 })
  const clients = Array.from({ length: 3 }, () => open(port, 'GET / HT'))
  await eventually(async () => (await connectionsOf()) === 3)
  const extra = open(port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await eventually(() => extra.ended)
  expect([extra.received, refused()]).toEqual(['', 1])
  clients[0]?.socket.destroy()
  await eventually(async () => (await connectionsOf()) === 2)
  const next = open(port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await eventually(() => next.received.includes('42'))
})

test.each([
  ['GET', '/ws/eyJhbGciOiJIUzI1NiJ9.e30.x', 404],
  ['GET', '/%ZZ?token=eyJhbGciOiJIUzI1NiJ9.e30.x', 400],
  ['HEAD', '/', 404],
  ['POST', '/eyJhbGciOiJIUzI1NiJ9.e30.x', 404],
])('an error repeats nothing of the request: %s %s', async (method, path, status) => {
  const { port } = await start()
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    ...(method === 'POST' && { body: 'x' }),
  })
  expect(response.status).toBe(status)
  const shown = JSON.stringify([...response.headers]) + (await response.text())
  expect(shown).not.toMatch(/eyJ|ZZ|token/)
})
