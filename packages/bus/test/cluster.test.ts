import { auction, auctionStream, type BucketDefinition, json, voice, voiceWorkStream } from '@carillon/events'
import { eventually, NatsCluster, requestRaw } from '@carillon/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { Type } from 'typebox'
import { Bus, Interest, RevisionMismatch } from '../src/index.ts'

type Channel = typeof auction.delay_close_time

const counters: BucketDefinition<{ n: number }> = {
  name: 'counters',
  summary: '',
  value: json(Type.Object({ n: Type.Integer() })),
  storage: 'file',
  maxAgeMs: 0,
}
const SLOW_MS = 60_000

let cluster: NatsCluster
let buses: Bus[]
beforeEach(async () => {
  cluster = await NatsCluster.start()
  buses = []
})
afterEach(async () => {
  await Promise.all(buses.map((bus) => bus.stop()))
  await cluster.stop()
})

async function connect(url: string, replicas = 3): Promise<Bus> {
  const bus = new Bus({ url, name: 'test', replicas })
  buses.push(bus)
  bus.start()
  await eventually(() => bus.connected, SLOW_MS)
  return bus
}
const config = async (stream: string, node = 0) =>
  JSON.parse(await requestRaw(cluster.portOf(node), `$JS.API.STREAM.INFO.${stream}`)).config

/** Publishes until it is stored, as publishers that care do. */
async function store(bus: Bus, auctionId: number, closeTime: number): Promise<void> {
  await eventually(
    () =>
      bus
        .publishStored(
          auction.delay_close_time,
          { auctionId: String(auctionId) },
          { auctionId, closeTime },
          { timeoutMs: 2_000 },
        )
        .then(() => true),
    SLOW_MS,
  )
}

test('streams and buckets have the replicas they should, and get them where they had fewer', async () => {
  const one = await connect(cluster.url, 1)
  await eventually(
    () =>
      one
        .stream(auctionStream)
        .ensure()
        .then(() => true),
    SLOW_MS,
  )
  await eventually(() => one.bucket(counters).put('a', { n: 1 }), SLOW_MS)
  const replicas = async () => [
    (await config('AUCTION')).num_replicas,
    (await config('KV_counters')).num_replicas,
  ]
  expect(await replicas()).toEqual([1, 1])
  const three = await connect(cluster.url)
  three.keepStream(auctionStream)
  three.keepBucket(counters)
  await eventually(() => three.storage.every(({ problem }) => problem === undefined), SLOW_MS)
  // With replicas an old server's compare-and-set is none.
  expect(await replicas()).toEqual([3, (await cluster.version()) < '2.10' ? 1 : 3])
  expect(await eventually(() => three.bucket(counters).get('a'), SLOW_MS)).toMatchObject({ value: { n: 1 } })
  // Fewer are never asked for.
  const again = await connect(cluster.url, 1)
  await eventually(
    () =>
      again
        .stream(auctionStream)
        .ensure()
        .then(() => true),
    SLOW_MS,
  )
  expect((await replicas())[0]).toBe(3)
}, 180_000)

test.each(['killed', 'frozen'] as const)(
  'the own node, which leads the stream, is %s: nothing is lost',
  async (how) => {
    const setup = await connect(cluster.url)
    await eventually(
      () =>
        setup
          .stream(auctionStream)
          .ensure()
          .then(() => true),
      SLOW_MS,
    )
    await eventually(() => setup.bucket(counters).put('a', { n: 0 }), SLOW_MS)
    const leader = await cluster.leaderOf('AUCTION')
    const others = [0, 1, 2].filter((node) => node !== leader)
    // The follower knows of one node only; the cluster has told it of the others.
    const follower = await connect(cluster.urlOf(leader))
    const publisher = await connect(others.map((node) => cluster.urlOf(node)).join(','))
    const delivered = new Map<number, number[]>()
    const interest = new Interest<Channel>({
      bus: follower,
      deliver(_channel, { payload }) {
        const { auctionId, closeTime } = payload as { auctionId: number; closeTime: number }
        delivered.set(auctionId, [...(delivered.get(auctionId) ?? []), closeTime])
      },
    })
    const ids = Array.from({ length: 20 }, (_, id) => id)
    await Promise.all(ids.map((id) => interest.hold(auction.delay_close_time, { auctionId: String(id) })))
    for (const id of ids) await store(publisher, id, 1)
    await eventually(() => ids.every((id) => delivered.get(id)?.at(-1) === 1))

    if (how === 'killed') await cluster.kill(leader)
    else cluster.freeze(leader)
    for (const id of ids) await store(publisher, id, 2)
    await eventually(() => ids.every((id) => delivered.get(id)?.at(-1) === 2), SLOW_MS)
    expect(follower.reconnects).toBe(1)

    if (how === 'killed') await cluster.resume(leader)
    else cluster.thaw(leader)
    for (const id of ids) await store(publisher, id, 3)
    await eventually(() => ids.every((id) => delivered.get(id)?.at(-1) === 3), SLOW_MS)
    for (const id of ids) {
      // A publisher without an answer publishes again: a value may come twice, and never after a newer one.
      const values = delivered.get(id) ?? []
      expect(values.filter((value, i) => value !== values[i - 1])).toEqual([1, 2, 3])
      const last = await interest.lastBeforeLive(
        auction.delay_close_time.subject({ auctionId: String(id) }),
        {},
      )
      expect(Buffer.from(last ?? []).toString()).toContain('"closeTime":3')
    }
    interest.stop()
  },
  180_000,
)

test('what another server is given on receipt of the confirmation is delivered, late if need be', async () => {
  const [follower, publisher] = [await connect(cluster.urlOf(0)), await connect(cluster.urlOf(1))]
  await eventually(
    () =>
      follower
        .stream(auctionStream)
        .ensure()
        .then(() => true),
    SLOW_MS,
  )
  const delivered: string[] = []
  const interest = new Interest<Channel>({
    bus: follower,
    deliver: (_channel, { params }) => delivered.push((params as { auctionId: string }).auctionId),
  })
  await publisher.publishStored(auction.delay_close_time, { auctionId: '0' }, { auctionId: 0, closeTime: 1 })
  const ids = Array.from({ length: 500 }, (_, id) => id)
  await Promise.all(
    ids.map(async (id) => {
      await new Promise((resolve) => setTimeout(resolve, id))
      await interest.hold(auction.delay_close_time, { auctionId: String(id) })
      if (id === 0) return
      publisher.publish(auction.delay_close_time, { auctionId: String(id) }, { auctionId: id, closeTime: 1 })
    }),
  )
  await eventually(() => delivered.length === 499, SLOW_MS)
  // What had been published before, and was not asked for, is not delivered.
  const first = auction.delay_close_time.subject({ auctionId: '0' })
  await eventually(async () => (await interest.lastBeforeLive(first, {})) !== undefined)
  expect(delivered.map(Number).sort((a, b) => a - b)).toEqual(ids.slice(1))
  interest.stop()
}, 180_000)

test('compare-and-set counts right while the leader of the bucket is killed', async () => {
  const workers = await Promise.all([0, 1, 2].map((node) => connect(`${cluster.urlOf(node)},${cluster.url}`)))
  const [first] = workers as [Bus]
  await eventually(() => first.bucket(counters).put('n', { n: 0 }), SLOW_MS)
  let counted = 0
  let uncertain = 0
  const count = async (bus: Bus) => {
    const bucket = bus.bucket(counters)
    for (let done = 0; done < 30; ) {
      try {
        const entry = await bucket.get('n')
        if (entry === undefined) throw new Error('the key is lost')
        await bucket.update('n', { n: entry.value.n + 1 }, entry.revision)
        counted += 1
        done += 1
      } catch (error) {
        if (error instanceof RevisionMismatch) continue
        // Without an answer it may have been written, or not.
        uncertain += 1
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
  }
  const counting = Promise.all(workers.map(count))
  await eventually(() => counted > 20, SLOW_MS)
  const leader = await cluster.leaderOf('KV_counters')
  await cluster.kill(leader)
  // A bucket without replicas comes back with its server.
  await cluster.resume(leader)
  await counting
  const final = (await eventually(() => first.bucket(counters).get('n'), SLOW_MS))?.value.n ?? 0
  expect(final).toBeGreaterThanOrEqual(counted)
  expect(final).toBeLessThanOrEqual(counted + uncertain)
}, 180_000)

test('asked again with the same id: the acknowledgement of the duplicate is passed over for the answer', async () => {
  const bus = await connect(cluster.url)
  const stream = bus.stream(voiceWorkStream)
  await eventually(() => stream.ensure().then(() => true), SLOW_MS)
  let answers = false
  bus.subscribe<string, unknown>(
    voice.room as never,
    {},
    ({ replyTo }) => {
      // Well behind the server's own reply.
      const answer = { delivered: true, relay_user_id: '2', confirmed: true }
      if (answers) setTimeout(() => bus.answer(voice.room, replyTo as string, answer), 500)
    },
    { requestsOnly: true },
  )
  const params = { channelName: 'r', action: 'send_topic_msg' } as const
  const ask = (timeoutMs: number) =>
    bus.request(
      voice.room,
      params,
      { user_id: 1, content: 'x' },
      { timeoutMs, headers: { 'Nats-Msg-Id': '1' } },
    )
  // Stored, and not answered: from now on the id is known.
  await eventually(async () => {
    await ask(500).catch(() => {})
    return (await stream.position()).sequence === 1
  }, SLOW_MS)
  answers = true
  await expect(ask(SLOW_MS)).resolves.toEqual({ delivered: true, relay_user_id: '2', confirmed: true })
  expect((await stream.position()).sequence).toBe(1)
})
