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
  // An older connection of elsewhere is told that it has been replaced …
  stage.bus.publish(imDevice.claimed, { userId: 'dora' }, older)
  await eventually(() =>
    claimed.some(({ instance_id, repeated }) => instance_id === one.instanceId && repeated),
  )
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
