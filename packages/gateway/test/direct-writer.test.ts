import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Duplex, PassThrough } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { eventually } from '@carillon/testkit'
import { afterEach, describe, expect, test } from '@jest/globals'
import { DirectWriter, loadSend, type Send } from '../src/direct-writer.ts'

const send = loadSend()
/** What it writes with is there on Linux alone; then it must be. */
const onLinux = process.platform === 'linux' ? describe : describe.skip

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

async function listen(where: { port: number } | { path: string }): Promise<Server> {
  const server = createServer({ allowHalfOpen: true })
  server.listen('path' in where ? where : { ...where, host: '127.0.0.1' })
  await once(server, 'listening')
  cleanups.push(() => server.close())
  return server
}

/** One connection: the server's end, the client's, and what the client has read. */
async function pair(server: Server) {
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const address = server.address()
  const client =
    typeof address === 'string' ? connect(address) : connect(address?.port as number, '127.0.0.1')
  const [socket] = await accepted
  const chunks: Buffer[] = []
  client.on('data', (chunk) => chunks.push(chunk))
  for (const end of [client, socket]) end.on('error', () => {})
  cleanups.push(
    () => client.destroy(),
    () => socket.destroy(),
  )
  return { socket, client, read: () => Buffer.concat(chunks).toString() }
}

const tcp = async () => pair(await listen({ port: 0 }))
const fdOf = (socket: Socket) => (socket as unknown as { _handle: { fd: number } | null })._handle?.fd

/** A writer whose calls of `send` are counted. */
function counted() {
  let calls = 0
  const writer = new DirectWriter((...args) => {
    calls += 1
    return (send as Send)(...args)
  })
  return { writer, calls: () => calls }
}

/** As a connection does it. */
function write(writer: DirectWriter, socket: Socket, bytes: Buffer): void {
  const taken = writer.write(socket, bytes)
  if (taken < bytes.length) socket.write(bytes.subarray(taken))
}

onLinux('writing past the stream', () => {
  test('is there', () => {
    expect(send).toBeDefined()
  })

  test('sends the bytes of a view, and keeps the order with what goes through the stream', async () => {
    const { socket, read } = await tcp()
    const { writer, calls } = counted()
    const pool = Buffer.from('-one--three-')
    write(writer, socket, pool.subarray(1, 4))
    socket.write('two')
    write(writer, socket, pool.subarray(6, 11))
    await eventually(() => read() === 'onetwothree')
    expect(calls()).toBe(2)
    expect(writer.whole).toBe(2)
  })

  test('takes nothing while something waits in the stream', async () => {
    const { socket, read } = await tcp()
    const { writer, calls } = counted()
    socket.cork()
    socket.write('first')
    write(writer, socket, Buffer.from('second'))
    socket.uncork()
    await eventually(() => read() === 'firstsecond')
    expect(calls()).toBe(0)
  })

  test('a full socket: a part is taken, then nothing, and all of it arrives in order', async () => {
    const { socket, client, read } = await tcp()
    const { writer } = counted()
    client.pause()
    let sent = ''
    for (let i = 0; socket.writableLength < 1_000_000; i++) {
      const piece = String(i).padEnd(50_000, '.')
      sent += piece
      write(writer, socket, Buffer.from(piece))
    }
    expect(writer.refused).toBe(1)
    client.resume()
    await eventually(() => read().length === sent.length, 20_000)
    expect(read() === sent).toBe(true)
    const whole = writer.whole
    await eventually(() => socket.writableLength === 0)
    write(writer, socket, Buffer.from('!'))
    await eventually(() => read().endsWith('!'))
    expect(writer.whole).toBe(whole + 1)
  })

  test.each([
    ['is ended', (socket: Socket) => void socket.end()],
    ['is destroyed', (socket: Socket) => void socket.destroy()],
    ['is reset', (socket: Socket) => void socket.resetAndDestroy()],
  ])('a stream that %s takes nothing more, from that call on', async (_name, end) => {
    const { socket } = await tcp()
    const { writer, calls } = counted()
    end(socket)
    expect(writer.write(socket, Buffer.from('late'))).toBe(0)
    expect(calls()).toBe(0)
  })

  test('a peer that has reset the connection: the stream meets the error and closes', async () => {
    const { socket, client } = await tcp()
    const { writer } = counted()
    let closed = false
    socket.once('close', () => {
      closed = true
    })
    client.resetAndDestroy()
    await once(client, 'close')
    // The kernel knows by now, the event loop does not yet.
    expect(closed).toBe(false)
    for (let i = 0; i < 3; i++) write(writer, socket, Buffer.from('x'))
    await eventually(() => closed)
    expect(writer.whole).toBe(0)
  })

  test('a peer that is gone while bytes are sent: the stream closes, and the process lives', async () => {
    const { socket, client } = await tcp()
    const { writer } = counted()
    let closed = false
    socket.once('close', () => {
      closed = true
    })
    client.destroy()
    await eventually(() => {
      if (!closed) write(writer, socket, Buffer.from('x'))
      return closed
    })
  })

  test('a descriptor that another connection has got is not written to', async () => {
    const server = await listen({ port: 0 })
    const { writer, calls } = counted()
    const gone = await pair(server)
    const fd = fdOf(gone.socket)
    write(writer, gone.socket, Buffer.from('mine'))
    await eventually(() => gone.read() === 'mine')
    gone.socket.destroy()
    // The system gives the lowest free number: it comes back soon, at one end or the other.
    const others: Awaited<ReturnType<typeof pair>>[] = []
    await eventually(async () => {
      others.push(await pair(server))
      return others.some(({ socket, client }) => fdOf(socket) === fd || fdOf(client) === fd)
    })
    expect(writer.write(gone.socket, Buffer.from('not yours'))).toBe(0)
    expect(calls()).toBe(1)
    for (const { socket } of others) write(writer, socket, Buffer.from('yours'))
    await eventually(() => others.every(({ read }) => read() === 'yours'))
  })

  test.each([
    ['is closed', { fd: -22 }],
    ['is gone', null],
    ['was never there', undefined],
  ])('a socket whose handle %s is not written to', (_name, _handle) => {
    const calls: number[] = []
    const writer = new DirectWriter((fd) => calls.push(fd))
    expect(writer.write(Object.assign(new PassThrough(), { _handle }), Buffer.from('x'))).toBe(0)
    expect(calls).toEqual([])
  })

  test('an error takes nothing: all of it goes through the stream', async () => {
    const { socket, read } = await tcp()
    const flagsSeen: number[] = []
    const writer = new DirectWriter((_fd, _bytes, _length, flags) => {
      flagsSeen.push(flags)
      return -1
    })
    write(writer, socket, Buffer.from('whole'))
    await eventually(() => read() === 'whole')
    expect(writer.refused).toBe(1)
    // Neither to block nor to raise SIGPIPE, whatever the process does with either.
    expect(flagsSeen).toEqual([0x4040])
  })
})

describe('where it cannot be done', () => {
  test('TLS, pipes and streams that are no sockets do not fit; TCP does', async () => {
    const { socket } = await tcp()
    expect(DirectWriter.fits(socket)).toBe(true)
    expect(DirectWriter.fits(new TLSSocket(socket))).toBe(false)
    expect(DirectWriter.fits(Duplex.from([]))).toBe(false)
    const folder = mkdtempSync(join(tmpdir(), 'carillon-'))
    cleanups.push(() => rmSync(folder, { recursive: true }))
    const piped = await pair(await listen({ path: join(folder, 'socket') }))
    expect(DirectWriter.fits(piped.socket)).toBe(false)
  })

  test('another system, and a library that is absent or will not load, give no send', () => {
    const absent = () => {
      throw new Error('Cannot find module')
    }
    expect(loadSend({ platform: 'linux', require: absent })).toBeUndefined()
    expect(loadSend({ platform: 'darwin', require: createRequire(import.meta.url) })).toBeUndefined()
    expect(loadSend({ platform: 'linux', require: () => ({}) })).toBeUndefined()
  })
})
