import { eventually, ManualClock } from '@carillon/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { ImClient } from './im-client.ts'
import { type ImGateway, readMetrics, Stage } from './stage.ts'

let stage: Stage
let gateway: ImGateway
const clock = new ManualClock()
const clients: ImClient[] = []
const connect = async (userId: string, deviceId = 'phone') => {
  const client = await ImClient.connect(gateway.listener.port, userId, { deviceId })
  clients.push(client)
  return client
}
beforeAll(async () => {
  stage = await Stage.open()
  await stage.startMessages()
  gateway = await stage.gateway({}, { clock })
})
afterEach(() => {
  for (const client of clients.splice(0)) client.close()
})
afterAll(() => stage?.close())

const titles = (client: ImClient) => client.notices.map(({ title }) => title)
const ack = (client: ImClient, noticeId: string) =>
  client.succeed('AckNotice', { noticeId, convId: 'notice:system' })
/** Nothing more comes: what was under way has arrived when a request made now is answered. */
const quiet = async (client: ImClient) => {
  await client.succeed('SyncConvSeq', { convIdList: [] })
  await client.succeed('SyncConvSeq', { convIdList: [] })
}

test('again every 10 s until the device acknowledges; each device for itself', async () => {
  const [phone, tablet] = [await connect('ann'), await connect('ann', 'tablet')]
  const first = await stage.sendNotice(['ann'], 'first')
  await eventually(() => phone.notices.length === 1 && tablet.notices.length === 1)
  clock.move(9_500)
  await quiet(phone)
  expect(titles(phone)).toEqual(['first'])
  clock.move(700)
  await eventually(() => phone.notices.length === 2 && tablet.notices.length === 2)
  await ack(phone, first)
  clock.move(10_200)
  await eventually(() => tablet.notices.length === 3)
  await quiet(phone)
  expect(titles(phone)).toEqual(['first', 'first'])
  await ack(tablet, first)
  clock.move(10_200)
  await stage.sendNotice(['ann'], 'second')
  await eventually(() => tablet.notices.length === 4)
  expect(titles(tablet)).toEqual(['first', 'first', 'first', 'second'])
  expect(await readMetrics(gateway)).toMatch(/carillon_im_notices_redelivered_total\{[^}]*\} 3/)
})

test('a new connect begins with what is pending; a silent connection gets no more than twenty', async () => {
  const ids: string[] = []
  for (let i = 1; i <= 45; i++) ids.push(await stage.sendNotice(['bob'], `n${i}`))
  const bob = await connect('bob')
  await eventually(() => bob.notices.length === 20)
  expect(titles(bob)).toEqual(ids.slice(0, 20).map((_, i) => `n${i + 1}`))
  ids.push(await stage.sendNotice(['bob'], 'n46'))
  await quiet(bob)
  expect(bob.notices).toHaveLength(20)
  // Acknowledgements make room, in order; one stands for those before it.
  await ack(bob, ids[14] as string)
  await eventually(() => bob.notices.length === 35)
  await ack(bob, ids[34] as string)
  await eventually(() => bob.notices.length === 46)
  expect(titles(bob)).toEqual(ids.map((_, i) => `n${i + 1}`))
  bob.close()
  const again = await connect('bob')
  await eventually(() => again.notices.length === 11)
  expect(titles(again)[0]).toBe('n36')
})

test('onlinePushOnce: sent once to who is online, and never again', async () => {
  const carl = await connect('carl')
  await stage.sendNotice(['carl', 'dora'], 'now or never', { onlinePushOnce: true })
  await eventually(() => carl.notices.length === 1)
  clock.move(10_200)
  clock.move(10_200)
  const dora = await connect('dora')
  await stage.sendNotice(['carl', 'dora'], 'kept')
  await eventually(() => carl.notices.length === 2 && dora.notices.length === 1)
  expect(titles(carl)).toEqual(['now or never', 'kept'])
  expect(titles(dora)).toEqual(['kept'])
})
