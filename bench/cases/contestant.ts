import { Floor, floorAvailable } from '../floor.ts'
import { Remote } from '../remote.ts'

// 190 bytes, like a bid.
export const MESSAGE = JSON.stringify({
  data: {
    amount: 1320000,
    nickName: 'x'.repeat(74),
    avatar: '',
    userId: 3600,
    auctionId: 3607,
    at: 1638685667639,
  },
  event: 'bid',
}).padEnd(190)

export interface Peer {
  readonly name: string
  /** The server's script; the C program without one. */
  readonly script?: string
  readonly path: string
  readonly hello?: string
  readonly options?: object
  readonly env?: NodeJS.ProcessEnv
}

export const carillon: Peer = { name: 'Carillon', script: 'servers/carillon.ts', path: '/' }
export const throughStreams: Peer = {
  ...carillon,
  name: 'Carillon, direct writes off',
  env: { DIRECT_WRITES: 'false' },
}
export const wsLoop: Peer = { name: 'ws loop, string', script: 'servers/ws-loop.ts', path: '/' }
export const wsLoopOfBuffers: Peer = { ...wsLoop, name: 'ws loop, shared buffer', options: { as: 'buffer' } }
export const socketIo: Peer = {
  name: 'Socket.IO',
  script: 'servers/socket-io.ts',
  path: '/socket.io/?EIO=4&transport=websocket',
  hello: '40',
}
/** Where there is a C compiler. */
export const floor: readonly Peer[] = floorAvailable
  ? [{ name: 'C floor, one send a socket', path: '/' }]
  : []

export interface Load {
  readonly events: number
  readonly burst: number
  readonly window: number
}

/** A server that sends one message to many, and its clients. */
export class Contestant {
  readonly peer: Peer
  readonly server: Pick<Remote, 'call' | 'stop'>
  readonly load: Remote
  readonly clients: number
  bytesPerEvent = 0
  readonly rates: number[] = []
  readonly cpuUs: number[] = []

  constructor(peer: Peer, clients: number) {
    const { script, env } = peer
    this.peer = peer
    this.clients = clients
    this.server =
      script === undefined ? new Floor({ core: 0 }) : new Remote(script, { core: 0, ...(env && { env }) })
    this.load = new Remote('load/raw-clients.ts', { core: 1 })
  }

  async open(): Promise<void> {
    const { port } = await this.server.call<{ port: number }>('ports')
    const { path, hello } = this.peer
    const paths = Array.from({ length: this.clients }, () => path)
    await this.load.call('open', {
      port,
      paths,
      ...(hello && { hello: paths.map(() => [hello]), helloBytes: 1 }),
    })
    await quiet(this.load)
    const before = await this.load.call<number>('received')
    await this.server.call('run', { ...this.peer.options, events: 1, burst: 1, message: MESSAGE, window: 10 })
    // Everybody gets the same: until that is so, some of it is still on its way.
    do this.bytesPerEvent = (await quiet(this.load)) - before
    while (this.bytesPerEvent === 0 || this.bytesPerEvent % this.clients !== 0)
  }

  /** One round; answers nothing, but remembers deliveries per second and CPU per delivery. */
  async round({ events, burst, window }: Load, keep: boolean): Promise<void> {
    const { control } = await this.server.call<{ control: number }>('ports')
    const before = await this.load.call<number>('received')
    await this.load.call('acknowledge', { port: control, bytes: burst * this.bytesPerEvent })
    const end = this.load.call<number>('until', { bytes: before + events * this.bytesPerEvent })
    const { start, cpuMs } = await this.server.call<{ start: number; cpuMs: number }>('run', {
      ...this.peer.options,
      events,
      burst,
      message: MESSAGE,
      window,
    })
    const deliveries = events * this.clients
    const seconds = ((await end) - start) / 1_000
    if (!keep) return
    this.rates.push(deliveries / seconds)
    this.cpuUs.push((cpuMs * 1_000) / deliveries)
  }

  async stop(): Promise<void> {
    await Promise.all([this.server.stop(), this.load.stop()])
  }
}

async function quiet(load: Remote): Promise<number> {
  let last = -1
  for (;;) {
    const received = await load.call<number>('received')
    if (received === last) return received
    last = received
    await new Promise((done) => setTimeout(done, 200))
  }
}
