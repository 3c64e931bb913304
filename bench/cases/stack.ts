import { DEVELOPMENT_SECRET, signToken } from '@carillon/auth'
import { Bus } from '@carillon/bus'
import { eventually, NatsServer } from '@carillon/testkit'
import { Remote } from '../remote.ts'

/** A real nats-server, the real auction-push on one core, and raw clients on the other. */
export class AuctionStack {
  readonly nats: NatsServer
  readonly bus: Bus
  readonly server: Remote
  readonly load: Remote

  private constructor(nats: NatsServer, bus: Bus, server: Remote, load: Remote) {
    this.nats = nats
    this.bus = bus
    this.server = server
    this.load = load
  }

  static async start(env: NodeJS.ProcessEnv = {}): Promise<AuctionStack> {
    const nats = await NatsServer.start()
    const bus = new Bus({ url: nats.url, name: 'bench' })
    bus.start()
    const server = new Remote('servers/auction.ts', { core: 0, env: { NATS_URL: nats.url, ...env } })
    const load = new Remote('load/raw-clients.ts', { core: 1 })
    await eventually(async () => bus.connected && (await server.call<boolean>('ready')))
    return new AuctionStack(nats, bus, server, load)
  }

  /** Opens authenticated connections, each subscribed to the bids of these auctions. */
  async open(count: number, auctionsOf: (index: number) => readonly number[]): Promise<number> {
    const { port } = await this.server.call<{ port: number }>('ports')
    const paths = await Promise.all(Array.from({ length: count }, async (_, i) => `/ws/${await tokenOf(i)}`))
    const hello = paths.map((_, i) =>
      auctionsOf(i).map(
        (id) => `{"key":"auction_subscribe","data":{"event":"bid","auctionId":"${id}","single":false}}`,
      ),
    )
    // The answer to each: a frame of seven bytes, "success".
    const elapsed = await this.load.call<number>('open', { port, paths, hello, helloBytes: 9 })
    await this.server.call('settle')
    return elapsed
  }

  async stop(): Promise<void> {
    await Promise.all([this.server.stop(), this.load.stop(), this.bus.stop()])
    await this.nats.stop()
  }
}

export function tokenOf(user: number): Promise<string> {
  const now = Date.now()
  return signToken(DEVELOPMENT_SECRET, {
    sub: String(user),
    created: now,
    exp: Math.floor(now / 1_000) + 86_400,
  })
}
