import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { eventually } from '@carillon/testkit'
import { afterEach, expect, test } from '@jest/globals'
import { type WebSocket as Socket, WebSocket, WebSocketServer } from 'ws'
import { AuctionClient } from '../src/auction/index.ts'
import { ImClient } from '../src/im/index.ts'
import { VoiceRoomClient } from '../src/voice/index.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** A server that says what no service would. */
async function serve(connected: (socket: Socket) => void): Promise<string> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await new Promise((resolve) => server.on('listening', resolve))
  server.on('connection', connected)
  ends.push(() => server.close())
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
}
const closing = <C extends { close(): void }>(client: C): C => {
  ends.push(() => client.close())
  return client
}
const greeting = JSON.stringify({ action: 'create_token', online_token: 'x', ping_interval: 3_600 })

test('sids that have expired again and again are asked for less and less often', async () => {
  let connections = 0
  const endpoint = await serve((socket) => {
    connections += 1
    socket.send(greeting)
    socket.send(JSON.stringify({ action: 'error', error_reason: 'sid has expired' }))
  })
  const reconnect = { baseMs: 3_600_000, maxMs: 3_600_000 }
  const client = closing(new VoiceRoomClient({ endpoint, sid: () => 'sid', WebSocket, reconnect }))
  void client.connect()
  await eventually(() => client.state.type === 'waiting')
  // The next attempt is a random time away, of up to an hour.
  expect(connections).toBe(1)
})

test('a clock that was ahead signs the next connection by the right time', async () => {
  const timestamps: number[] = []
  const endpoint = await serve((socket) => {
    socket.on('message', (frame) => timestamps.push(JSON.parse(String(frame)).timestamp))
    socket.send(greeting)
  })
  let now = 2_000_000_000_000
  const client = closing(new VoiceRoomClient({ endpoint, sid: () => 'sid', WebSocket, now: () => now }))
  await client.connect()
  now = 1_900_000_000_000
  client.sendFields({ action: 'ping' })
  await eventually(() => timestamps.length === 2)
  client.reconnect()
  await eventually(() => timestamps.length === 3)
  // Over one connection time does not run backwards.
  expect(timestamps).toEqual([2_000_000_000, 2_000_000_000, 1_900_000_000])
})

test.each(['a server that never answers', 'a function that never settles'])(
  'discovery that is %s: the fallback URL is taken',
  async (kind) => {
    const silent: Server = createServer(() => {})
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    ends.push(
      () => silent.close(),
      () => silent.closeAllConnections(),
    )
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`
    const discoveryUrl = kind.includes('function') ? () => new Promise<string>(() => {}) : url
    const fallbackUrl = await serve(() => {})
    const endpoint = { discoveryUrl, fallbackUrl }
    const client = closing(
      new AuctionClient({ endpoint, token: () => 'token', WebSocket, connectTimeoutMs: 6_000 }),
    )
    await client.connect()
    expect(client.state.type).toBe('open')
  },
)

test('what is sent over a client that is closed, or while one is closed, is refused at once', async () => {
  const endpoint = 'ws://127.0.0.1:9'
  const device = { userId: '1', platform: 'web', deviceId: 'device' } as const
  const client = closing(new ImClient({ endpoint, token: () => 'token', WebSocket, ...device }))
  const message = { convId: 'single:1-2', contentType: 1, content: new Uint8Array() }
  const early = client.sendMessages(message)
  client.close()
  await expect(early).rejects.toMatchObject({ code: 'closed' })
  await expect(client.sendMessages(message)).rejects.toMatchObject({ code: 'closed' })
})
