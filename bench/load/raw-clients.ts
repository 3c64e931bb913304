import { connect, type Socket } from 'node:net'
import { now, serve } from '../remote.ts'

/*
 * WebSocket clients as cheap as they can be: raw sockets that count bytes, or record frames of one known
 * length. The load must not be what is measured.
 */

interface OpenOptions {
  readonly port: number
  /** One upgrade path for each connection. */
  readonly paths: readonly string[]
  /** Text frames that each connection sends after its upgrade. */
  readonly hello?: readonly (readonly string[])[]
  /** What comes back for each hello, in bytes: skipped before anything is counted. */
  readonly helloBytes?: number
  readonly parallel?: number
}

interface Client {
  readonly socket: Socket
  skip: number
  rest: Buffer
  bytes: number
  /** The last sequence number of each topic. */
  readonly last: Map<number, number>
  /** Reads too slowly to see everything: only its order is looked at. */
  slow: boolean
}

/** Where digits stand in a frame of known length. */
interface Layout {
  readonly length: number
  readonly topicAt: number
  readonly topicDigits: number
  readonly sequenceAt: number
  readonly sequenceDigits: number
  readonly timeAt: number
  readonly timeDigits: number
}

const clients: Client[] = []
let received = 0
let wanted = Number.POSITIVE_INFINITY
let onWanted: (() => void) | undefined
let acknowledge: Socket | undefined
let burstBytes = 0
let acknowledged = 0
/** Where the sequence number and the time stand in a frame, when frames are recorded. */
let layout: Layout | undefined
let latencies: number[] = []
let throttle: NodeJS.Timeout | undefined
let outOfOrder = 0
let frames = 0

const NOTHING = Buffer.alloc(0)
const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

function open(port: number, path: string, hello: readonly string[], helloBytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let upgraded = ''
    const client: Client = {
      socket: undefined as never,
      skip: hello.length * helloBytes,
      rest: NOTHING,
      bytes: 0,
      last: new Map(),
      slow: false,
    }
    const data = (length: number, buffer: Uint8Array) => {
      let chunk = Buffer.from(buffer.buffer, buffer.byteOffset, length)
      if (upgraded !== 'yes') {
        upgraded += chunk.toString('latin1')
        const end = upgraded.indexOf('\r\n\r\n')
        if (end < 0) return true
        if (!upgraded.startsWith('HTTP/1.1 101')) {
          reject(new Error(upgraded.slice(0, 200)))
          return true
        }
        chunk = Buffer.from(upgraded.slice(end + 4), 'latin1')
        upgraded = 'yes'
        for (const text of hello) client.socket.write(maskedText(text))
        if (client.skip === 0) resolve()
      }
      if (chunk.length > 0) count(client, chunk, resolve)
      return true
    }
    const socket = connect({ port, host: '127.0.0.1', onread: { buffer: sharedBuffer, callback: data } })
    ;(client as { socket: Socket }).socket = socket
    clients.push(client)
    socket.setNoDelay(true)
    socket.once('error', reject)
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    )
  })
}

const sharedBuffer = Buffer.alloc(262_144)

function count(client: Client, data: Buffer, ready: () => void): void {
  let chunk = data
  if (client.skip > 0) {
    const skipped = Math.min(client.skip, chunk.length)
    client.skip -= skipped
    if (client.skip === 0) ready()
    chunk = chunk.subarray(skipped)
    if (chunk.length === 0) return
  }
  received += chunk.length
  client.bytes += chunk.length
  if (layout) record(client, chunk)
  if (acknowledge) {
    while (received - acknowledged >= burstBytes) {
      acknowledged += burstBytes
      acknowledge.write('.')
    }
  }
  if (received >= wanted) onWanted?.()
}

function record(client: Client, chunk: Buffer): void {
  const { length, topicAt, topicDigits, sequenceAt, sequenceDigits, timeAt, timeDigits } = layout as Layout
  const data = client.rest.length > 0 ? Buffer.concat([client.rest, chunk]) : chunk
  const at = now()
  let offset = 0
  for (; offset + length <= data.length; offset += length) {
    const topic = digits(data, offset + topicAt, topicDigits)
    const sequence = digits(data, offset + sequenceAt, sequenceDigits)
    const before = client.last.get(topic)
    client.last.set(topic, sequence)
    if (before !== undefined && (client.slow ? sequence <= before : sequence !== before + 1)) outOfOrder += 1
    if (client.slow) continue
    frames += 1
    latencies.push(at - digits(data, offset + timeAt, timeDigits) / 1_000)
  }
  client.rest = offset === data.length ? NOTHING : Buffer.from(data.subarray(offset))
}

/** A number of so many characters; a decimal point counts as a character and is passed over. */
function digits(data: Buffer, at: number, length: number): number {
  let value = 0
  for (let i = at; i < at + length; i++) {
    const digit = (data[i] as number) - 48
    if (digit >= 0) value = value * 10 + digit
  }
  return value
}

function maskedText(text: string): Buffer {
  const payload = Buffer.from(text)
  const header =
    payload.length < 126
      ? Buffer.from([0x81, 0x80 | payload.length])
      : Buffer.from([0x81, 0xfe, payload.length >> 8, payload.length & 255])
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([header, Buffer.alloc(4), payload])
}

serve({
  /** Opens connections; answers how long that took in milliseconds. */
  async open({ port, paths, hello = [], helloBytes = 0, parallel = 50 }: OpenOptions) {
    const start = now()
    const queue = paths.entries()
    const work = async () => {
      for (const [i, path] of queue) await open(port, path, hello[i] ?? [], helloBytes)
    }
    await Promise.all(Array.from({ length: parallel }, work))
    return now() - start
  },
  /** Acknowledges every so many bytes to the server's control port. */
  async acknowledge({ port, bytes }: { port: number; bytes: number }) {
    acknowledge?.destroy()
    acknowledged = received
    burstBytes = bytes
    const socket = connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    await new Promise((done) => socket.once('connect', done))
    acknowledge = socket
  },
  received: () => received,
  /** The time at which so many bytes more have come. */
  async until({ bytes }: { bytes: number }) {
    wanted = bytes
    if (received < wanted) await new Promise<void>((done) => (onWanted = done))
    wanted = Number.POSITIVE_INFINITY
    return now()
  },
  recordFrames(where: Layout) {
    layout = where
    latencies = []
    outOfOrder = 0
    frames = 0
    for (const client of clients) client.last.clear()
  },
  recordedFrames: () => ({ frames, outOfOrder, latencies }),
  /** Makes one client read so many bytes a second, or freely again. */
  slow({ index, bytesPerSecond }: { index: number; bytesPerSecond: number | undefined }) {
    const client = clients[index] as Client
    clearInterval(throttle)
    if (bytesPerSecond === undefined) return void client.socket.resume()
    client.slow = true
    client.socket.pause()
    let allowance = client.bytes
    throttle = setInterval(() => {
      allowance += bytesPerSecond / 10
      if (client.bytes <= allowance) client.socket.resume()
      else client.socket.pause()
    }, 100)
  },
  /** Every client sends its frames, as fast as they go. */
  send({ frames: all }: { frames: readonly (readonly string[])[] }) {
    for (const [i, { socket }] of clients.entries()) {
      socket.write(Buffer.concat((all[i] ?? []).map(maskedText)))
    }
  },
  lastOf: ({ index }: { index: number }) => [...(clients[index] as Client).last],
  close() {
    for (const { socket } of clients.splice(0)) socket.destroy()
    received = 0
    acknowledge?.destroy()
    acknowledge = undefined
    layout = undefined
  },
})
