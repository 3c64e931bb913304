import { Bus } from '@carillon/bus'
import { type ConnectionReport, control } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { ClientConnection } from '../src/client-connection.ts'
import { serveControl } from '../src/control.ts'
import { Registry } from '../src/registry.ts'

let nats: NatsServer
let bus: Bus
const connections = new Registry()

beforeAll(async () => {
  nats = await NatsServer.start()
  bus = new Bus({ url: nats.url, name: 'test' })
  const disconnected = { code: 4000, reason: '', reconnect: false, meaning: '' }
  serveControl({ bus, service: 'test', instanceId: 'i1', connections, disconnected })
  bus.start()
  await eventually(() => bus.connected)
})
afterAll(async () => {
  await bus.stop()
  await nats.stop()
})

/** A connection that holds these subscriptions. */
function connectionOf(userId: string, id: number, subscriptions: readonly string[]): ClientConnection {
  const report: ConnectionReport = {
    id: String(id),
    user_id: userId,
    opened_at: 0,
    remote_address: '127.0.0.1',
    bytes_in: 0,
    bytes_out: 0,
    queued_bytes: 0,
    subscriptions: [...subscriptions],
  }
  return {
    identity: { userId },
    remoteAddress: '127.0.0.1',
    queuedBytes: 0,
    close() {},
    terminate() {},
    report: () => report,
  }
}

async function ask(userId: string) {
  const [answer] = await bus.requestMany(control.connections, { service: 'test' }, { user_id: userId })
  return { count: answer?.count, reports: answer?.connections ?? [] }
}

test('all about a user who has few', async () => {
  connections.add(connectionOf('few', 1, ['a', 'b']))
  expect(await ask('few')).toMatchObject({ count: 1, reports: [{ id: '1', subscriptions: ['a', 'b'] }] })
  expect((await ask('few')).reports[0]).not.toHaveProperty('subscriptions_omitted')
})

test.each([
  ['many connections', 2_000, 4],
  ['one connection with many subscriptions', 1, 3_000],
])('an answer fits into a message: %s', async (_what, count, each) => {
  const userId = `with ${count}`
  // Three bytes a character.
  const subscriptions = Array.from({ length: each }, (_, n) => `quote.chloe.${n}.${'測'.repeat(250)}`)
  for (let id = 1; id <= count; id++) connections.add(connectionOf(userId, id, subscriptions))
  const { count: counted, reports } = await ask(userId)
  expect(counted).toBe(count)
  expect(reports.length).toBeGreaterThan(0)
  const bytes = Buffer.byteLength(JSON.stringify(reports))
  expect(bytes).toBeLessThan(501_000)
  expect(bytes).toBeGreaterThan(400_000)
  const { subscriptions: named = [], subscriptions_omitted: omitted } = reports.at(-1) ?? {}
  expect(named.length + (omitted ?? 0)).toBe(each)
})
