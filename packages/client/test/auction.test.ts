import { eventually, loginToken, ManualClock, NatsServer, publishRaw } from '@carillon/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import {
  AuctionClient,
  type Bid,
  type ClientError,
  type ClientOptions,
  type ConnectionState,
} from '../src/index.ts'
import { bootAuction, openNetwork, reconnect, urlOf, WebSocket } from './fleet.ts'

let nats: NatsServer
const cleanups: (() => unknown)[] = []
beforeAll(async () => {
  nats = await NatsServer.start()
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
afterAll(() => nats.stop())

async function boot(...args: [environment?: Record<string, string>, overrides?: object]) {
  const service = await bootAuction(nats, ...args)
  cleanups.push(() => service.stop())
  return service
}

function clientOf(
  endpoint: ClientOptions['endpoint'],
  options: Partial<ClientOptions> = {},
  Class = AuctionClient,
) {
  const client = new Class({
    endpoint,
    token: () => loginToken(3600),
    WebSocket,
    reconnect,
    ...options,
  })
  cleanups.push(() => client.close())
  const states: ConnectionState[] = []
  const errors: ClientError[] = []
  client.on('state', (state) => states.push(state))
  client.on('error', (error) => errors.push(error))
  return Object.assign(client, { states, errors })
}

const bid = (auctionId: number, amount: number, avatar = ''): Bid => ({
  amount,
  nickName: '测试号',
  avatar,
  userId: 3600,
  auctionId,
})
const publish = (auctionId: number, amount: number, avatar?: string) =>
  publishRaw(nats.port, `auction.${auctionId}.bid`, JSON.stringify(bid(auctionId, amount, avatar)))

describe('subscriptions', () => {
  test('an iterator and a callback get the bids; leaving the loop cancels the subscription', async () => {
    const service = await boot()
    const client = clientOf(urlOf(service.listener.port))
    const called: Bid[] = []
    client.on('bid', (each) => called.push(each))
    const bids = client.bids(101)
    await client.connect()
    await client.subscribe('bid', 102)
    await publish(102, 1)
    await publish(101, 2)
    for await (const each of bids) {
      expect(each).toEqual(bid(101, 2))
      break
    }
    await eventually(() => called.length === 2)
    await eventually(() =>
      [...service.listener.connections].every((each) => each.report().subscriptions.length === 1),
    )
    expect(called).toEqual([bid(102, 1), bid(101, 2)])
    expect(client.errors).toEqual([])
  })

  test('single lets go of the other auctions of the event', async () => {
    const service = await boot()
    const client = clientOf(urlOf(service.listener.port))
    await client.connect()
    await client.subscribe('bid', 111)
    await client.subscribe('finish', 111)
    const first = client.bids(111)
    await client.subscribe('bid', '112', { single: true })
    expect(await first.next()).toEqual({ done: true, value: undefined })
    const [connection] = service.listener.connections
    expect(new Set(connection?.report().subscriptions)).toEqual(
      new Set(['auction.111.finish', 'auction.112.bid']),
    )
  })

  test('recover brings the last message', async () => {
    const service = await boot()
    await publish(121, 5)
    const client = clientOf(urlOf(service.listener.port))
    const bids = client.bids(121, { recover: true })
    await client.connect()
    expect((await bids.next()).value).toEqual(bid(121, 5))
  })

  test('what the server refuses is an error with its code', async () => {
    const service = await boot({ AUCTION_MAX_SUBSCRIPTIONS: '1' })
    const client = clientOf(urlOf(service.listener.port))
    await client.connect()
    await client.subscribe('bid', 131)
    await expect(client.subscribe('bid', 132)).rejects.toMatchObject({ code: 'too_many_subscriptions' })
    expect(() => client.bids('03')).toThrow('no auction')
    await client.unsubscribe('bid', 131)
    await client.subscribe('bid', 132)
  })
})

describe('what ends a connection', () => {
  test('a cut network: it comes back, subscribes again, and the bid that was missed arrives once', async () => {
    const service = await boot()
    const network = await openNetwork(service.listener.port)
    cleanups.push(() => network.close())
    let tokens = 0
    const token = () => {
      tokens += 1
      return loginToken(3600)
    }
    const client = clientOf(network.webSocketUrl, { token })
    const amounts: number[] = []
    client.on('bid', ({ amount }) => amounts.push(amount))
    await client.connect()
    for (const id of [201, 202]) {
      await client.subscribe('bid', id)
      await publish(id, 1)
    }
    await eventually(() => amounts.length === 2)

    network.cut()
    await eventually(() => client.state.type === 'waiting' || client.state.type === 'connecting')
    await publish(201, 2)
    network.restore()
    await eventually(() => amounts.length === 3)
    // The other one's last message was here already. What comes next proves that it did not come twice.
    await publish(202, 3)
    await eventually(() => amounts.includes(3))
    expect(amounts).toEqual([1, 1, 2, 3])
    expect(tokens).toBeGreaterThan(1)
    expect(client.states.map(({ type }) => type).slice(0, 3)).toEqual(['connecting', 'open', 'waiting'])
  })

  test('a silent network: the connection is taken for dead, and the next one stands when there is a network again', async () => {
    const service = await boot()
    const network = await openNetwork(service.listener.port)
    cleanups.push(() => network.close())
    class Hasty extends AuctionClient {
      protected override silenceMs = () => Math.min(super.silenceMs(), 1_500)
    }
    const client = clientOf(network.webSocketUrl, {}, Hasty)
    await client.connect()
    await client.subscribe('bid', 241)
    network.silence()
    await eventually(() => client.errors.some(({ code }) => code === 'connection_silent'))
    network.restore()
    await eventually(() => client.state.type === 'open')
  })

  test('a drain (1012): the next attempt asks for the endpoint again', async () => {
    const [one, two] = [await boot(), await boot()]
    let asked = 0
    const client = clientOf(() => urlOf([one, two][asked++ === 0 ? 0 : 1]?.listener.port as number))
    const bids = client.bids(211)
    await client.connect()
    await one.stop()
    await eventually(() => client.state.type === 'open' && two.listener.connections.size === 1)
    await client.subscribe('bid', 211)
    await publish(211, 7)
    expect((await bids.next()).value).toEqual(bid(211, 7))
    expect(client.states).toContainEqual({
      type: 'waiting',
      close: { code: 1012, reason: 'service restart' },
    })
  })

  test('a token that expires (4401): a new one is asked for', async () => {
    const clock = new ManualClock()
    const service = await boot({ AUCTION_IDLE_TIMEOUT_MS: '86400000' }, { clock })
    const lifetimesS = [10, 3_600]
    const token = () =>
      loginToken(1, { exp: Math.floor(clock.now() / 1_000) + (lifetimesS.shift() as number) })
    const client = clientOf(urlOf(service.listener.port), { token })
    await client.connect()
    clock.move(12_000)
    await eventually(() => client.states.filter(({ type }) => type === 'open').length === 2)
    expect(client.states).toContainEqual({ type: 'waiting', close: { code: 4401, reason: 'token expired' } })
    expect(lifetimesS).toEqual([])
  })

  test('an operator (4403): it stays away, and every iterator ends', async () => {
    const service = await boot()
    const client = clientOf(urlOf(service.listener.port))
    await client.connect()
    const next = client.bids(221).next()
    for (const connection of service.listener.connections)
      connection.close({ code: 4403, reason: 'disconnected' })
    await expect(next).rejects.toMatchObject({ code: 'closed' })
    expect(client.state).toEqual({ type: 'closed', close: { code: 4403, reason: 'disconnected' } })
    expect(() => client.bids(1)).toThrow('closed')
    await client.connect()
    await client.subscribe('bid', 1)
  })

  test('a client that does not read (1013) comes back and gets the last message', async () => {
    const service = await boot()
    const network = await openNetwork(service.listener.port)
    cleanups.push(() => network.close())
    const client = clientOf(network.webSocketUrl)
    const bids = client.bids(231, { capacity: 1 })
    await client.connect()
    await client.subscribe('bid', 231)
    const [connection] = service.listener.connections
    network.silence()
    const avatar = 'x'.repeat(60_000)
    let amount = 0
    await eventually(async () => {
      await publish(231, ++amount, avatar)
      return !service.listener.connections.has(connection as never)
    })
    await publish(231, ++amount)
    network.resume()
    await eventually(async () => (await bids.next()).value?.amount === amount)
  })

  test('a server that cannot be reached: attempts go on, or end where they are counted', async () => {
    const service = await boot()
    const url = urlOf(service.listener.port)
    await service.stop()
    const patient = clientOf(url)
    void patient.connect()
    await eventually(() => patient.errors.filter(({ code }) => code === 'connect_failed').length > 2)
    const impatient = clientOf(url, { reconnect: { ...reconnect, attemptsMax: 2 } })
    await expect(impatient.connect()).rejects.toMatchObject({ code: 'closed' })
  })

  test('a token provider that fails is asked again', async () => {
    const service = await boot()
    let asked = 0
    const token = async () => {
      asked += 1
      if (asked < 3) throw new Error('the login service is away')
      return loginToken(1)
    }
    const client = clientOf(urlOf(service.listener.port), { token })
    await client.connect()
    expect(client.errors.map(({ code }) => code)).toEqual(['token_unavailable', 'token_unavailable'])
  })
})

test('three hundred subscriptions are made without a frame too many', async () => {
  const service = await boot({ AUCTION_MAX_FRAMES_PER_SECOND: '100' })
  const client = clientOf(urlOf(service.listener.port))
  const subscribed = Array.from({ length: 300 }, (_, i) => client.subscribe('bid', i))
  await client.connect()
  await Promise.all(subscribed)
  expect(client.errors).toEqual([])
})

test('an environment without WebSocket says so, once', async () => {
  const client = new AuctionClient({
    endpoint: 'ws://127.0.0.1:1',
    token: () => 'x',
    WebSocket: undefined as never,
  })
  const has = 'WebSocket' in globalThis
  if (has) return
  await expect(client.connect()).rejects.toMatchObject({ code: 'closed' })
})
