import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { textFrame } from '@carillon/codec'
import { Topics } from '@carillon/fanout'
import { systemClock, TimingWheel } from '@carillon/service'
import { eventually, WebSocketClient } from '@carillon/testkit'
import { afterEach, describe, expect, test } from '@jest/globals'
import { type Connection, DirectWriter, defaultLimits, type Listener, loadSend } from '../src/index.ts'
import { testGateway, testListener } from './gateway.ts'

let listener: Listener | undefined
afterEach(() => listener?.stop())

const UPGRADE =
  'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n'
const send = loadSend()
const ways = [
  ['through the streams', undefined],
  ...(send ? [['past the streams', send] as const] : []),
] as const

describe.each(ways)('connections that are written to %s', (_name, way) => {
  async function start(outboxBytesMax = defaultLimits.outboxBytesMax) {
    const wheel = new TimingWheel(systemClock)
    wheel.start()
    const gateway = testGateway(wheel, { outboxBytesMax, closeMs: 200 })
    const directWriter = way && new DirectWriter(way)
    const topics = new Topics({ policy: 'disconnect' })
    const opened: Connection[] = []
    const sockets: Socket[] = []
    const made = testListener(gateway, { ...(directWriter && { directWriter }) })
    listener = made
    made.accept(
      ['/'],
      ({ raw }) => {
        sockets.push(raw.socket)
        return { ok: true, identity: { userId: 'u' } }
      },
      (connection) => {
        opened.push(connection)
        topics.subscribe('t', connection.outbox)
        return {
          text: (frame) => connection.send(textFrame(frame)),
          closed: () => topics.unsubscribe('t', connection.outbox),
        }
      },
    )
    await made.start()
    const open = async () => {
      const client = await WebSocketClient.connect(`ws://127.0.0.1:${made.port}/`)
      await eventually(() => opened.length > 0)
      return { client, connection: opened.at(-1) as Connection }
    }
    return { gateway, topics, directWriter, open, opened, sockets, port: made.port, stop: () => wheel.stop() }
  }

  test('bytes are counted, whichever way they go', async () => {
    const { open, directWriter, stop } = await start()
    const { client, connection } = await open()
    const before = connection.report().bytes_out
    client.send('12345')
    expect(await client.next()).toBe('12345')
    expect(connection.report().bytes_out - before).toBe(7)
    expect(directWriter?.whole).toBe(way && 1)
    client.close()
    stop()
  })

  test('a client that stops reading and goes on: every byte in order, and the close frame last', async () => {
    const { open, stop } = await start(64 * 1_048_576)
    const { client, connection } = await open()
    client.socket.pause()
    const sent: string[] = []
    while (connection.queuedBytes < 1_000_000) {
      const text = `${sent.length}`.padEnd(40_000, '.')
      sent.push(text)
      connection.send(textFrame(text))
    }
    connection.close({ code: 4321, reason: 'end' })
    connection.send(textFrame('too late'))
    client.socket.resume()
    expect(await client.end(20_000)).toEqual({ code: 4321, reason: 'end' })
    expect(client.frames).toHaveLength(sent.length)
    expect(client.frames.every((frame, i) => frame === sent[i])).toBe(true)
    stop()
  })

  test('nothing follows the close frame that answers a client', async () => {
    const { port, sockets, opened, stop } = await start()
    const client = connect(port, '127.0.0.1')
    const chunks: Buffer[] = []
    client.on('data', (chunk) => chunks.push(chunk))
    const ended = once(client, 'close')
    client.write(UPGRADE)
    await eventually(() => opened.length === 1)
    const [raw] = sockets as [Socket]
    const write = raw.write.bind(raw) as (bytes: Uint8Array) => boolean
    let late = false
    raw.write = (bytes: Uint8Array) => {
      raw.write = write
      // The answer is written in this turn; its callback, which ends the stream, comes after this.
      process.nextTick(() => {
        late = true
        opened[0]?.write(textFrame('late'))
      })
      return write(bytes)
    }
    client.write(Buffer.from('88820000000003e8', 'hex'))
    await ended
    expect(late).toBe(true)
    expect(Buffer.concat(chunks).toString('hex')).toMatch(/880203e8$/)
    stop()
  })

  test('a flush that closes others on its way', async () => {
    const { open, topics, opened, gateway, stop } = await start()
    const clients = [await open(), await open(), await open()].map(({ client }) => client)
    await eventually(() => opened.length === 3)
    const [first, second, third] = opened as [Connection, Connection, Connection]
    const write = first.write.bind(first)
    first.write = (bytes) => {
      write(bytes)
      second.terminate()
      third.close({ code: 4000, reason: 'gone' })
    }
    topics.publish('t', textFrame('1'))
    topics.publish('t', textFrame('2'))
    await eventually(() => gateway.connections.size === 1)
    expect(clients[0]?.frames).toEqual(['1', '2'])
    expect(clients[1]?.frames).toEqual([])
    expect(await clients[2]?.end()).toEqual({ code: 4000, reason: 'gone' })
    expect(clients[2]?.frames).toEqual([])
    for (const client of clients) client.close()
    stop()
  })

  test('a client that vanishes in the middle of a stream of messages is let go of', async () => {
    const { open, topics, gateway, stop } = await start()
    const { client } = await open()
    client.close()
    await eventually(() => {
      topics.publish('t', textFrame('x'))
      return gateway.connections.size === 0
    })
    stop()
  })
})
