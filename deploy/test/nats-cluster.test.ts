import { connect } from 'node:net'
import { create, readConfig } from '@carillon/auction-push'
import { Bus } from '@carillon/bus'
import { auction, contract, inboxPrefix } from '@carillon/events'
import { eventually, testEnvironment } from '@carillon/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { connectAuction } from '../../apps/auction-push/test/auction.ts'
import { passwordOf } from './restricted-nats.ts'
import { ShippedCluster } from './shipped-cluster.ts'

/** A cluster elects leaders, on a machine that may be busy. */
const SLOW_MS = 120_000

let cluster: ShippedCluster
const ends: (() => unknown)[] = []
beforeAll(async () => {
  cluster = await ShippedCluster.start()
}, SLOW_MS)
afterAll(async () => {
  for (const end of ends.reverse()) await end()
  await cluster?.stop()
}, SLOW_MS)

async function connectAs(user: string): Promise<Bus> {
  const credentials = { user, password: passwordOf(user), inboxPrefix: inboxPrefix(user) }
  const bus = new Bus({ url: cluster.url, name: user, replicas: 3, ...credentials })
  ends.push(() => bus.stop())
  bus.start()
  await eventually(() => bus.connected, SLOW_MS)
  return bus
}

/** Tries until the cluster has the leaders that it takes. */
const untilDone = (act: () => Promise<unknown>) => eventually(() => act().then(() => true), SLOW_MS)

test(
  'a route without the password is refused',
  async () => {
    for (const node of [0, 1, 2]) {
      const socket = connect(cluster.routePort(node), '127.0.0.1')
      ends.push(() => socket.destroy())
      let said = ''
      socket.on('data', (data) => (said += data))
      socket.on('error', () => {})
      socket.write('CONNECT {"name":"stranger","user":"routes","pass":"guessed"}\r\nPING\r\n')
      await eventually(() => said.includes("-ERR 'Authorization Violation'"), SLOW_MS)
    }
  },
  SLOW_MS,
)

test(
  'the cluster of deploy/nats replicates every stream, and a service goes on when a server dies',
  async () => {
    const provisioner = await connectAs('provisioner')
    for (const stream of contract.streams) await untilDone(() => provisioner.stream(stream).ensure())
    for (const bucket of contract.buckets) await untilDone(() => provisioner.bucket(bucket).ensure())
    const names = contract.streams.map(({ name }) => name)
    await eventually(async () => {
      const replicated = (await cluster.streams(0)).filter(({ config }) => config.num_replicas === 3)
      return names.every((name) => replicated.some((stream) => stream.name === name))
    }, SLOW_MS)

    const service = create(
      readConfig({
        ...testEnvironment('AUCTION', { url: cluster.url }),
        ...{ NATS_USER: 'auction-push', NATS_PASSWORD: passwordOf('auction-push'), NATS_REPLICAS: '3' },
      }),
    )
    await service.start()
    ends.push(() => service.stop())
    const isReady = async () => (await fetch(`http://127.0.0.1:${service.adminPort}/readyz`)).ok
    await eventually(isReady, SLOW_MS)
    const publisher = await connectAs('auction-publisher')
    const publish = (closeTime: number) =>
      untilDone(() =>
        publisher.publishStored(auction.delay_close_time, { auctionId: '7' }, { auctionId: 7, closeTime }),
      )
    const client = await connectAuction(service)
    ends.push(() => client.close())
    client.send(
      '{"key":"auction_subscribe","data":{"event":"delay_close_time","auctionId":"7","recover":true}}',
    )
    const received = (text: string) =>
      eventually(() => client.frames.some((frame) => frame.includes(text)), SLOW_MS)
    await received('success')
    await publish(1)
    await received('"closeTime":1}')

    const leader = await cluster.leaderOf('AUCTION', 0)
    await cluster.kill(leader)
    await publish(2)
    await received('"closeTime":2}')
    await eventually(isReady, SLOW_MS)
    const survivor = (leader + 1) % 3
    expect(await cluster.leaderOf('AUCTION', survivor)).not.toBe(leader)
  },
  SLOW_MS * 3,
)
