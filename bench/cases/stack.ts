import { DEVELOPMENT_SECRET, signToken } from '@carillon/auth'
import { Bus } from '@carillon/bus'
import { eventually, NatsServer } from '@carillon/testkit'
import { Remote } from '../remote.ts'

/** A real nats-server, a real service on one core, and raw clients on the other. */
export class Stack {
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

  static async start(
    script: 'servers/auction.ts' | 'servers/quote.ts',
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Stack> {
    const nats = await NatsServer.start()
    const bus = new Bus({ url: nats.url, name: 'bench' })
    bus.start()
    const server = new Remote(script, { core: 0, env: { NATS_URL: nats.url, ...environment } })
    const load = new Remote('load/raw-clients.ts', { core: 1 })
    await eventually(async () => bus.connected && (await server.call<boolean>('ready')))
    return new Stack(nats, bus, server, load)
  }

  /** Opens a connection for each path; each sends its frames, which are answered with so many bytes each. */
  async open(
    paths: readonly string[],
    hello: readonly (readonly string[])[],
    helloBytes: number,
  ): Promise<void> {
    const { port } = await this.server.call<{ port: number }>('ports')
    const before = await this.server.call<number>('subscriptions')
    await this.load.call('open', { port, paths, hello, helloBytes })
    const wanted = before + hello.flat().length
    await eventually(async () => (await this.server.call<number>('subscriptions')) === wanted, 30_000)
    await this.server.call('settle')
  }

  async stop(): Promise<void> {
    await Promise.all([this.server.stop(), this.load.stop(), this.bus.stop()])
    await this.nats.stop()
  }
}

/** Opens authenticated connections to auction-push, each subscribed to the bids of these auctions. */
export async function openAuctions(
  stack: Stack,
  count: number,
  auctionsOf: (index: number) => readonly number[],
): Promise<void> {
  const paths = await Promise.all(
    Array.from({ length: count }, async (_, i) => `/ws/${await auctionToken(i)}`),
  )
  const hello = paths.map((_, i) => auctionsOf(i).map(auctionSubscribe))
  // The answer to each: a frame of seven bytes, "success".
  await stack.open(paths, hello, 9)
}

/** The frame that asks for the bids of an auction. */
export function auctionSubscribe(auctionId: number): string {
  return `{"key":"auction_subscribe","data":{"event":"bid","auctionId":"${auctionId}","single":false}}`
}

export function auctionToken(user: number): Promise<string> {
  const now = Date.now()
  return signToken(DEVELOPMENT_SECRET, {
    sub: String(user),
    created: now,
    exp: Math.floor(now / 1_000) + 86_400,
  })
}

/** Opens authenticated connections to quote-interact, each following these markets of one event. */
export async function openQuotes(
  stack: Stack,
  count: number,
  marketsOf: (index: number) => readonly number[],
): Promise<void> {
  const expires_at = new Date(Date.now() + 86_400_000).toISOString()
  const tokens = Array.from({ length: count }, (_, i) =>
    signToken(DEVELOPMENT_SECRET, { user_id: `u${i}`, expires_at }),
  )
  const paths = (await Promise.all(tokens)).map(
    (token) => `/quote/do-not-look-back?authorization=bearer%20${token}`,
  )
  const hello = paths.map((_, i) =>
    marketsOf(i).map((id) => `{"commend":"order-slip-quote@chloe-market#e@${id}"}`),
  )
  await stack.open(paths, hello, 0)
}
