import { type ImDeviceClaim, im, imDevice } from '@carillon/events'
import { eventually, loginToken, ManualClock } from '@carillon/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { ImClient, parametersOf } from './im-client.ts'
import { type ImGateway, readMetrics, Stage } from './stage.ts'

let stage: Stage
let one: ImGateway
let two: ImGateway
const sessions: string[] = []
const clients: ImClient[] = []
const connect = async (gateway: ImGateway, userId: string, others: Record<string, string> = {}) => {
  const client = await ImClient.connect(gateway.listener.port, userId, others)
  clients.push(client)
  return client
}
beforeAll(async () => {
  stage = await Stage.open()
  await stage.startMessages()
  one = await stage.gateway()
  // Its clock is behind: only the order of claims counts.
  const behind = new ManualClock()
  behind.setWallClock(-1_000)
  two = await stage.gateway({}, { clock: behind })
  for (const kind of ['online', 'offline'] as const) {
    stage.bus.subscribe(im[kind], {}, ({ payload }) =>
      sessions.push(`${payload.user_id} ${payload.device_id} ${kind} ${payload.instance_id}`),
    )
  }
  await stage.bus.roundTrip()
})
afterEach(() => {
  for (const client of clients.splice(0)) client.close()
})
afterAll(() => stage?.close())

const sessionsOf = (userId: string) => sessions.filter((each) => each.startsWith(`${userId} `))

test.each([
  ['on one instance', () => [one, one]],
  ['from one instance to another', () => [one, two]],
  ['to an instance whose clock is behind, and back', () => [two, one]],
])('the same device again, %s: the old connection closes, the new one stays', async (name, gateways) => {
  const [from, to] = gateways() as [ImGateway, ImGateway]
  const userId = `ann_${name.replaceAll(/\W/g, '_')}`.slice(0, 40)
  await stage.putConversation(`group:${userId}`, [userId])
  const old = await connect(from, userId)
  const replacement = await connect(to, userId)
  expect(await old.end()).toEqual({ code: 1000, reason: 'duplicate connection' })
  // The end of the old one takes nothing from the new one: neither pushes, nor presence, nor the session.
  await replacement.send(`group:${userId}`, 'still here')
  await eventually(() => replacement.messages.length === 1)
  expect(to.users.isOnline(userId)).toBe(true)
  await eventually(() => [...to.listener.connections.ofUser(userId)].length === 1)
  expect(replacement.closed).toBeUndefined()
  await eventually(() => sessionsOf(userId).length === 2)
  expect(sessionsOf(userId)).toEqual([
    `${userId} xxx-xxx-xxx online ${from.instanceId}`,
    `${userId} xxx-xxx-xxx online ${to.instanceId}`,
  ])
  replacement.close()
  await eventually(() => sessionsOf(userId).length === 3)
  expect(sessionsOf(userId)[2]).toBe(`${userId} xxx-xxx-xxx offline ${to.instanceId}`)
})

test.each([
  ['on one instance', () => [one, one]],
  ['on two', () => [one, two]],
  ['on two, whose clocks differ the other way', () => [two, one]],
])('a connection that is slow to open does not replace a later one: %s', async (name, gateways) => {
  const [slow, quick] = gateways() as [ImGateway, ImGateway]
  const userId = `slow_${name.replaceAll(/\W/g, '_')}`.slice(0, 40)
  await stage.putConversation(`group:${userId}`, [userId])
  // The message service takes its time to say which conversations the first one has.
  const { users } = slow
  const load = users.load.bind(users)
  let goOn: (() => void) | undefined
  users.load = async (user) => {
    users.load = load
    await new Promise<void>((resolve) => {
      goOn = resolve
    })
    return load(user)
  }
  const first = new ImClient(slow.listener.port, { token: await loginToken(userId), ...parametersOf(userId) })
  clients.push(first)
  await eventually(() => goOn !== undefined)
  // The other instance has heard that there is one.
  await slow.bus.roundTrip()
  await quick.bus.roundTrip()
  const second = await connect(quick, userId)
  goOn?.()
  expect(await first.end()).toEqual({ code: 1000, reason: 'duplicate connection' })
  await slow.bus.roundTrip()
  await quick.bus.roundTrip()
  await second.send(`group:${userId}`, 'still here')
  await eventually(() => second.messages.length === 1)
  expect(second.closed).toBeUndefined()
  expect(second.texts).toEqual(['connected'])
  second.close()
  await eventually(() => sessionsOf(userId).some((each) => each.includes(' offline ')))
  expect(sessionsOf(userId).at(-1)).toBe(`${userId} xxx-xxx-xxx offline ${quick.instanceId}`)
  // It was told before it was connected, unless both claims crossed.
  if (first.texts.length === 0) expect(sessionsOf(userId)).toHaveLength(2)
})

test('another platform or device is another connection', async () => {
  const all = [
    await connect(one, 'bob'),
    await connect(two, 'bob', { platform: 'android' }),
    await connect(one, 'bob', { deviceId: 'other' }),
    await connect(two, 'bobby'),
  ]
  await stage.putConversation('group:bob', ['bob', 'bobby'])
  await all[0]?.send('group:bob', 'to all')
  // New members may get a message twice: it was pushed, and it may have been missed.
  for (const client of all) await eventually(() => client.textsOf('group:bob').length === 1)
  expect(all.map(({ closed }) => closed)).toEqual([undefined, undefined, undefined, undefined])
})

test('ten connects of one device at once, on two instances: exactly one is left, and it works', async () => {
  await stage.putConversation('group:carl', ['carl'])
  const token = await loginToken('carl')
  // One may be replaced before it was told that it is connected.
  const all = Array.from(
    { length: 10 },
    (_, i) => new ImClient((i % 2 ? one : two).listener.port, { token, ...parametersOf('carl') }),
  )
  clients.push(...all)
  await eventually(() => all.filter(({ closed }) => closed === undefined).length === 1)
  expect(all.filter(({ closed }) => closed?.reason === 'duplicate connection')).toHaveLength(9)
  const [left] = all.filter(({ closed }) => closed === undefined) as [ImClient]
  await eventually(() => left.texts.length === 1)
  await left.send('group:carl', 'me')
  await eventually(() => left.messages.length === 1)
  expect(left.closed).toBeUndefined()
  await eventually(() => [one, two].filter((gateway) => gateway.users.isOnline('carl')).length === 1)
  expect(await readMetrics(one)).toMatch(/carillon_im_replaced_total\{[^}]*\} [1-9]/)
})

test('instances that could not hear each other agree when they can', async () => {
  const held = await connect(one, 'dora')
  const claimed: ImDeviceClaim[] = []
  const subscription = stage.bus.subscribe(imDevice.claimed, { userId: 'dora' }, ({ payload }) =>
    claimed.push(payload),
  )
  await stage.bus.roundTrip()
  const [, platform, device_id] = ['dora', 'ios', 'xxx-xxx-xxx'] as const
  const older: ImDeviceClaim = {
    user_id: 'dora',
    platform,
    device_id,
    instance_id: 'elsewhere',
    connection_id: 'elsewhere/1',
    order: 1,
    repeated: true,
  }
  // An older connection of elsewhere is told that it has been replaced, also one that is connected only now …
  for (const repeated of [true, false]) {
    claimed.length = 0
    stage.bus.publish(imDevice.claimed, { userId: 'dora' }, { ...older, repeated })
    await eventually(() => claimed.some((each) => each.instance_id === one.instanceId && each.repeated))
  }
  expect(held.closed).toBeUndefined()
  // … a newer one replaces ours, and nonsense does nothing.
  stage.bus.publish(
    imDevice.claimed,
    { userId: 'dora' },
    { ...older, device_id: 'another', order: Date.now() + 9_000 },
  )
  stage.bus.publish(imDevice.claimed, { userId: 'dora' }, { ...older, order: Date.now() + 9_000 })
  expect(await held.end()).toEqual({ code: 1000, reason: 'duplicate connection' })
  subscription.unsubscribe()
})
