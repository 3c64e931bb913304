import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { socketIoEvent, socketIoEventWithAck } from '@carillon/codec'
import { eventually, WebSocketClient } from '@carillon/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { Server as Engine, type Socket as EngineSocket } from 'engine.io'
import { type Socket, Server as SocketIoServer } from 'socket.io'
import {
  findEngineSocket,
  forgetAcknowledgement,
  hasEmptyWriteBuffer,
  onAcknowledgement,
  rawSocketOf,
  releaseRequest,
  webSocketOf,
} from '../src/socket-io/engine-socket.ts'

/*
 * What engine-socket.ts relies on in Engine.IO, Socket.IO and ws. A failure here means that one of them has changed
 * inside, and that prepared frames must be looked at anew.
 */
let http: Server
let engine: Engine
let engineSocket: EngineSocket | undefined
let socket: Socket | undefined
beforeEach(async () => {
  engine = new Engine({ allowEIO3: true, perMessageDeflate: false, pingInterval: 600_000 })
  const io = new SocketIoServer({ serveClient: false })
  engine.on('connection', (opened: EngineSocket) => {
    engineSocket = opened
    releaseRequest(opened)
  })
  io.bind(engine)
  io.on('connection', (connected) => {
    socket = connected
  })
  http = createServer((request, response) => engine.handleRequest(request as never, response))
  http.on('upgrade', (request, tcp, head) => engine.handleUpgrade(request as never, tcp, head))
  await new Promise<void>((done) => http.listen(0, '127.0.0.1', done))
})
afterEach(() => {
  engine.close()
  http.close()
  http.closeAllConnections()
  socket = undefined
})

const connect = async (revision: 3 | 4) => {
  const { port } = http.address() as AddressInfo
  const client = await WebSocketClient.connect(`ws://127.0.0.1:${port}/?EIO=${revision}&transport=websocket`)
  if (revision === 4) client.send('40')
  await eventually(() => socket !== undefined && client.frames.length === 2)
  return { client, sid: JSON.parse((client.frames[0] as string).slice(1)).sid as string }
}

test.each([3, 4] as const)(
  'revision %i: frames and the library’s own packets keep their order',
  async (revision) => {
    const { client, sid } = await connect(revision)
    const [on, its] = [engineSocket as EngineSocket, socket as Socket]
    expect(findEngineSocket(engine, sid)).toBe(on)
    expect(findEngineSocket(engine, 'constructor')).toBeUndefined()
    expect(webSocketOf(on)?.extensions).toBe('')
    const raw = rawSocketOf(on)
    const expected: string[] = []
    await eventually(() => hasEmptyWriteBuffer(on))
    for (let i = 0; i < 100; i++) {
      // The library's packets may wait in its buffer: then ours must not pass them.
      if (i % 3 === 0) its.emit('theirs', i)
      else if (hasEmptyWriteBuffer(on)) raw?.write(socketIoEvent('ours', Buffer.from(String(i))))
      else on.write(`2["ours",${i}]`)
      expected.push(`42["${i % 3 === 0 ? 'theirs' : 'ours'}",${i}]`)
      if (i % 10 === 0) await new Promise((next) => setImmediate(next))
    }
    await eventually(() => client.frames.length === 102)
    expect(client.frames.slice(2)).toEqual(expected)
    client.close()
  },
)

test('acknowledgements come under ids of our own', async () => {
  const { client } = await connect(4)
  const answers: unknown[][] = []
  onAcknowledgement(socket as Socket, 7, (...args) => answers.push(args))
  onAcknowledgement(socket as Socket, 8, (...args) => answers.push(args))
  forgetAcknowledgement(socket as Socket, 8)
  rawSocketOf(engineSocket as EngineSocket)?.write(socketIoEventWithAck(7, 'e', Buffer.from('{}')))
  await eventually(() => client.frames.includes('427["e",{}]'))
  for (const id of [7, 7, 8]) client.send(`43${id}[{"ack":true}]`)
  client.send('42["end"]')
  let ended = false
  socket?.on('end', () => {
    ended = true
  })
  await eventually(() => ended)
  expect(answers).toEqual([[{ ack: true }]])
  client.close()
})
