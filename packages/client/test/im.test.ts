import { im } from '@carillon/events'
import { eventually, loginToken, NatsServer } from '@carillon/testkit'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { type ClientError, ImClient, type ImOptions, type Message, type Notice } from '../src/im/index.ts'
import { exampleOf } from './example.ts'
import { bootIm, openNetwork, reconnect, urlOf, WebSocket } from './fleet.ts'

let nats: NatsServer
let fleet: Awaited<ReturnType<typeof bootIm>>
const cleanups: (() => unknown)[] = []
beforeAll(async () => {
  nats = await NatsServer.start()
  fleet = await bootIm(nats, { IM_NOTICE_REDELIVERY_MS: '1000' })
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
afterAll(async () => {
  await fleet.close()
  await nats.stop()
})

function clientOf(userId: string, options: Partial<ImOptions> = {}) {
  const client = new ImClient({
    endpoint: urlOf(fleet.gateway.listener.port),
    token: () => loginToken(userId),
    userId,
    platform: 'web',
    deviceId: `device-of-${userId}`,
    WebSocket,
    reconnect,
    ...options,
  })
  cleanups.push(() => client.close())
  const errors: ClientError[] = []
  const texts: string[] = []
  client.on('error', (error) => errors.push(error))
  client.on('message', (message) => texts.push(textOf(message)))
  return Object.assign(client, { errors, texts })
}

async function openLink() {
  const network = await openNetwork(fleet.gateway.listener.port)
  cleanups.push(() => network.close())
  return network
}

const textOf = ({ content }: Message) => new TextDecoder().decode(content)
const saying = (convId: string, text: string) => ({
  convId,
  contentType: 1,
  content: new TextEncoder().encode(text),
})
const numbered = (count: number, from = 0) => Array.from({ length: count }, (_, i) => `m${from + i}`)
const putConversation = (convId: string, members: string[]) =>
  fleet.bus.request(im.convPut, {}, { convId, members }, { timeoutMs: 60_000 })

async function notify(userId: string, title: string, options: object = {}) {
  const notice = { convId: 'notice:system', title, contentType: 1, content: '', options }
  const answer = await fleet.bus.request(
    im.noticeSend,
    {},
    { userIds: [userId], notice },
    { timeoutMs: 60_000 },
  )
  expect(answer.error_code).toBe(0)
}

describe('messages', () => {
  test('arrive at every member, in order; ids that are sent again store nothing twice', async () => {
    const [ann, ben] = [clientOf('ann1'), clientOf('ben1')]
    await Promise.all([ann.connect(), ben.connect()])
    const received = ben.messages()
    const [clientMsgId] = await ann.sendMessages(saying('single:ann1-ben1', 'm0'))
    await ann.sendMessages({ ...saying('single:ann1-ben1', 'm0'), clientMsgId: clientMsgId as string })
    await Promise.all(numbered(20, 1).map((text) => ann.sendMessages(saying('single:ann1-ben1', text))))
    const texts: string[] = []
    for await (const message of received) {
      texts.push(textOf(message))
      if (texts.length === 21) break
    }
    expect(texts).toEqual(numbered(21))
    await eventually(() => ann.texts.length === 21)
    expect(ben.positions).toEqual({ 'single:ann1-ben1': '21' })
    expect((await ben.history('single:ann1-ben1', [1, 2])).map(textOf)).toEqual(['m1', 'm0'])
    expect(textOf((await ann.message({ clientMsgId: clientMsgId as string })) as Message)).toBe('m0')
    expect(ann.errors).toEqual([])
  })

  test('a cut network: what was missed is fetched, without gaps or doubles', async () => {
    const network = await openLink()
    await putConversation('group:cut', ['ann2', 'ben2'])
    const [ann, ben] = [clientOf('ann2'), clientOf('ben2', { endpoint: network.webSocketUrl })]
    await Promise.all([ann.connect(), ben.connect()])
    const say = (texts: string[]) => ann.sendMessages(texts.map((text) => saying('group:cut', text)))
    await say(numbered(3))
    await eventually(() => ben.texts.length === 3)
    network.cut()
    await eventually(() => ben.state.type !== 'open')
    await say(numbered(150, 3))
    await say(numbered(150, 153))
    network.restore()
    await eventually(() => ben.state.type === 'open')
    await say(numbered(5, 303))
    await eventually(() => ben.texts.length >= 308)
    expect(ben.texts).toEqual(numbered(308))
  })

  test('a send whose answer is lost is asked again, and stored once', async () => {
    const network = await openLink()
    const [ann, ben] = [clientOf('ann3', { endpoint: network.webSocketUrl }), clientOf('ben3')]
    await Promise.all([ann.connect(), ben.connect()])
    await ann.sendMessages(saying('single:ann3-ben3', 'm0'))
    network.silence()
    const sent = ann.sendMessages(saying('single:ann3-ben3', 'm1'))
    const later = ann.sendMessages(saying('single:ann3-ben3', 'm2'))
    network.cut()
    network.restore()
    await Promise.all([sent, later])
    await eventually(() => ben.texts.length >= 3)
    await ann.sendMessages(saying('single:ann3-ben3', 'm3'))
    await eventually(() => ben.texts.includes('m3'))
    expect(ben.texts).toEqual(numbered(4))
  })

  test('an earlier run goes on where it was, and a slow loop loses nothing', async () => {
    await putConversation('group:slow', ['ann4', 'ben4'])
    const ann = clientOf('ann4')
    await ann.connect()
    await ann.sendMessages(numbered(50).map((text) => saying('group:slow', text)))
    const ben = clientOf('ben4', { positions: { 'group:slow': '10' } })
    const received = ben.messages('group:slow', { capacity: 2 })
    await ben.connect()
    await ann.sendMessages(numbered(30, 50).map((text) => saying('group:slow', text)))
    const texts: string[] = []
    for await (const message of received) {
      texts.push(textOf(message))
      if (message.seq === '80') break
    }
    expect(texts).toEqual(numbered(70, 10))
    expect(received.dropped).toBe(0)
  })

  test('what the service refuses is an error with its code', async () => {
    await putConversation('group:closed', ['somebody'])
    const client = clientOf('ann5')
    await client.connect()
    await expect(client.sendMessages(saying('group:closed', 'x'))).rejects.toMatchObject({
      code: 'AuthError',
    })
    await expect(client.custom('/v1/nobody/servesThis')).rejects.toMatchObject({ code: 'RequestError' })
  })
})

describe('notices', () => {
  test('are acknowledged when they are handled: the next connection does not get them again', async () => {
    const titles: string[] = []
    const handleNotice = async ({ title }: Notice) => void titles.push(title)
    const client = clientOf('ann6', { handleNotice })
    let acknowledged = 0
    client.on('frame', ({ direction }) => {
      if (direction === 'in') acknowledged += 1
    })
    await client.connect()
    await notify('ann6', 'n1')
    await notify('ann6', 'n2', { onlinePushOnce: true })
    await eventually(() => titles.length === 2)
    // Two pushes, the answers to SyncConvSeq and to AckNotice, and the greeting.
    await eventually(() => acknowledged >= 5)
    client.reconnect()
    await notify('ann6', 'n3')
    await eventually(() => titles.includes('n3'))
    expect(titles).toEqual(['n1', 'n2', 'n3'])
  })

  test('one that could not be handled comes again, and those behind it wait for it', async () => {
    const titles: string[] = []
    let failures = 0
    const handleNotice = ({ title }: Notice) => {
      titles.push(title)
      if (title === 'n1' && ++failures < 3) throw new Error('the disk is full')
    }
    const client = clientOf('ann7', { handleNotice })
    await client.connect()
    for (const title of ['n1', 'n2']) await notify('ann7', title)
    await eventually(() => titles.includes('n2'))
    expect(titles).toEqual(['n1', 'n1', 'n1', 'n2'])
    expect(client.errors.map(({ code }) => code)).toEqual(['notice_failed', 'notice_failed'])
  })
})

test('a token that is refused (3000) and a newer connection of the device (1000) are final', async () => {
  const stranger = clientOf('ann8', { token: () => loginToken('somebody-else') })
  await expect(stranger.connect()).rejects.toMatchObject({ code: 'closed' })
  expect(stranger.state).toMatchObject({ close: { code: 3000 } })
  const [older, newer] = [clientOf('ann9'), clientOf('ann9')]
  await older.connect()
  await newer.connect()
  await eventually(() => older.state.type === 'closed')
  expect(older.state).toMatchObject({ close: { code: 1000, reason: 'duplicate connection' } })
})

test('the example of the README', async () => {
  const { printed, run } = exampleOf('Instant messages', urlOf(fleet.gateway.listener.port))
  await run({ TOKEN: await loginToken(3600) })
  expect(printed).toEqual(['1 3600 hello'])
})
