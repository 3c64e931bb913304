import { im } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { Bus, NoResponders } from '../src/index.ts'

let nats: NatsServer
let buses: Bus[]
beforeEach(async () => {
  nats = await NatsServer.start()
  buses = []
})
afterEach(async () => {
  await Promise.all(buses.map((bus) => bus.stop()))
  await nats.stop()
})

async function connect(): Promise<Bus> {
  const bus = new Bus({ url: nats.url, name: 'test' })
  buses.push(bus)
  bus.start()
  await eventually(() => bus.connected)
  return bus
}

const ask = (bus: Bus) => bus.request(im.custom, { method: 'm' }, Buffer.from('x'), { timeoutMs: 30_000 })

test('a drained subscription answers all that it was given, and takes nothing more', async () => {
  const [server, client] = [await connect(), await connect()]
  let taken = 0
  let release: (() => void) | undefined
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const subscription = server.serve(im.custom, {}, async () => {
    taken += 1
    await released
    return Buffer.from('answer')
  })
  await server.roundTrip()
  const held = Array.from({ length: 20 }, () => ask(client))
  await eventually(() => taken === 20)
  // Some of these arrive before the server knows of the end, some after it.
  const outcomes: string[] = []
  let sending = true
  const senders = Array.from({ length: 5 }, async () => {
    while (sending) {
      const asked = ask(client)
      asked.then(
        () => outcomes.push('answered'),
        (error: unknown) => outcomes.push(error instanceof NoResponders ? 'not taken' : String(error)),
      )
      await Promise.race([asked.catch(() => {}), new Promise((resolve) => setImmediate(resolve))])
    }
  })
  await eventually(() => taken > 100)
  let drained = false
  const draining = subscription.drain(60_000).then(() => {
    drained = true
  })
  await eventually(() => outcomes.includes('not taken'))
  sending = false
  await Promise.all(senders)
  await server.roundTrip()
  expect(drained).toBe(false)
  release?.()
  await draining
  for (const answer of await Promise.all(held)) expect(Buffer.from(answer).toString()).toBe('answer')
  await eventually(() => outcomes.filter((each) => each === 'answered').length === taken - 20)
  expect(new Set(outcomes)).toEqual(new Set(['answered', 'not taken']))
})

test('it ends after its time, whatever the handler does, and without NATS', async () => {
  const [server, client] = [await connect(), await connect()]
  let taken = 0
  const subscription = server.serve(im.custom, {}, () => {
    taken += 1
    return new Promise<Buffer>(() => {})
  })
  await server.roundTrip()
  void ask(client).catch(() => {})
  await eventually(() => taken === 1)
  await subscription.drain(50)
  const other = server.subscribe(im.online, {}, () => {})
  await nats.halt('SIGKILL')
  await eventually(() => !server.connected)
  await other.drain(60_000)
  // It does not come back with the connection.
  await nats.resume()
  await eventually(() => server.connected && client.connected)
  await server.roundTrip()
  await expect(ask(client)).rejects.toBeInstanceOf(NoResponders)
})
