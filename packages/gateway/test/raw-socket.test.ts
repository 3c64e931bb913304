import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { textFrame } from '@carillon/codec'
import { eventually, WebSocketClient } from '@carillon/testkit'
import { afterEach, describe, expect, test } from '@jest/globals'
import { type WebSocket, WebSocketServer } from 'ws'
import {
  beforeReceiveError,
  rawSocketOf,
  unfinishedBytesOf,
  webSocketOf,
} from '../src/websocket/raw-socket.ts'

// What raw-socket.ts takes for granted of ws. A failure here means: ws has changed inside, look again.
describe('the inside of ws', () => {
  let server: WebSocketServer | undefined
  afterEach(() => {
    for (const client of server?.clients ?? []) client.terminate()
    server?.close()
  })

  async function accept(options: object = {}, clientOptions: object = {}) {
    server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false, ...options })
    await once(server, 'listening')
    const connection = once(server, 'connection')
    const client = await WebSocketClient.connect(
      `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
      clientOptions,
    )
    const [socket] = (await connection) as [WebSocket]
    return { client, socket }
  }

  test('a prepared frame on the raw socket keeps its place among the frames of ws', async () => {
    const { client, socket } = await accept()
    const raw = rawSocketOf(socket)
    socket.send('one')
    raw.write(textFrame('two'))
    socket.ping('ping')
    raw.write(textFrame('three'))
    socket.send('four')
    socket.close(4000, 'end')
    expect(await client.end()).toEqual({ code: 4000, reason: 'end' })
    expect(client.frames).toEqual(['one', 'two', 'three', 'four'])
  })

  test('ws counts what is written past it', async () => {
    const { socket } = await accept()
    const raw = rawSocketOf(socket)
    raw.cork()
    raw.write(textFrame('counted'))
    expect(socket.bufferedAmount).toBe(9)
    expect(raw.writableLength).toBe(9)
    raw.uncork()
  })

  test('ws writes its own frames in the same call', async () => {
    const { socket } = await accept()
    const raw = rawSocketOf(socket)
    raw.cork()
    socket.pong('x')
    socket.send('x')
    expect(raw.writableLength).toBe(3 + 3)
    raw.uncork()
  })

  test('a connection with an extension is refused', async () => {
    const { socket } = await accept({ perMessageDeflate: true }, { perMessageDeflate: true })
    expect(() => rawSocketOf(socket)).toThrow('extensions')
  })

  test('a receive error is told before the close frame is sent', async () => {
    const { client, socket } = await accept({ maxPayload: 10 })
    const raw = rawSocketOf(socket)
    const errors: string[] = []
    beforeReceiveError(socket, (error) => {
      errors.push((error as NodeJS.ErrnoException).code ?? '')
      raw.write(textFrame('too large'))
    })
    socket.on('error', () => {})
    client.send('x'.repeat(11))
    expect(await client.end()).toMatchObject({ code: 1009 })
    expect(client.frames).toEqual(['too large'])
    expect(errors).toEqual(['WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'])
  })

  test('a raw socket and a receiver know their WebSocket', async () => {
    const { client, socket } = await accept({ maxPayload: 10 })
    expect(webSocketOf(rawSocketOf(socket))).toBe(socket)
    const found: unknown[] = []
    beforeReceiveError(socket, function () {
      found.push(webSocketOf(this))
    })
    socket.on('error', () => {})
    client.send('x'.repeat(11))
    await client.end()
    expect(found).toEqual([socket])
  })

  test('messages after one whose room was given back are received', async () => {
    const { client, socket } = await accept()
    const received: string[] = []
    socket.on('message', (data) => received.push(String(data)))
    rawSocketOf(socket).on('data', () => unfinishedBytesOf(socket))
    client.send('one')
    await eventually(() => received.length === 1)
    expect(unfinishedBytesOf(socket)).toBe(0)
    for (const text of ['two', 'x'.repeat(200_000), 'three']) client.send(text)
    await eventually(() => received.length === 4)
    expect(received.map(({ length }) => length)).toEqual([3, 3, 200_000, 5])
  })

  test('needing a drain shows on the raw socket', async () => {
    const { socket } = await accept()
    const raw = rawSocketOf(socket)
    expect(raw.writableNeedDrain).toBe(false)
    raw.cork()
    raw.write(textFrame('x'.repeat(1_000_000)))
    expect(raw.writableNeedDrain).toBe(true)
    raw.uncork()
  })
})
