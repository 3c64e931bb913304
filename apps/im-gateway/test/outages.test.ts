import { im } from '@carillon/events'
import { eventually, loginToken, ManualClock, NatsLink } from '@carillon/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { encode } from './document.ts'
import { ImClient, parametersOf, reasonOf } from './im-client.ts'
import { type ImGateway, readMetrics, Stage } from './stage.ts'

let stage: Stage
const clients: ImClient[] = []
const kept = <C extends ImClient>(client: C): C => {
  clients.push(client)
  return client
}
beforeAll(async () => {
  stage = await Stage.open()
  await stage.startMessages()
})
afterEach(() => {
  for (const client of clients.splice(0)) client.close()
})
afterAll(() => stage?.close())

/** Users whose devices went offline at this instance: those of other tests' instances may still be told of. */
const offlineOf = async ({ instanceId }: ImGateway) => {
  const offline: string[] = []
  const bus = await stage.connectedBus()
  bus.subscribe(im.offline, {}, ({ payload }) => {
    if (payload.instance_id === instanceId) offline.push(payload.user_id)
  })
  await bus.roundTrip()
  return offline
}

test('without NATS: connections stay, requests get RetryError, and connects wait', async () => {
  const gateway = await stage.gateway()
  await stage.putConversation('group:a', ['ann'])
  const ann = kept(await ImClient.connect(gateway.listener.port, 'ann'))
  await stage.nats.halt('SIGKILL')
  await eventually(() => !gateway.bus.connected)
  const refused = await ann.request('SendMsgList', { msgDataList: [ann.message('group:a', 'x')] })
  expect(`${refused.code} ${reasonOf(refused)}`).toBe('RetryError the service did not answer in time')
  const custom = await ann.ask(100, encode('CustomRequestBody', { method: '/m' }))
  expect(custom.code).toBe('RetryError')
  const token = await loginToken('bob')
  const bob = kept(new ImClient(gateway.listener.port, { token, ...parametersOf('bob') }))
  await eventually(() => gateway.users.size === 2)
  const readyz = await fetch(`http://127.0.0.1:${gateway.adminPort}/readyz`)
  expect(readyz.status).toBe(503)
  await stage.nats.resume()
  await eventually(() => bob.texts[0] === 'connected', 30_000)
  expect(ann.closed).toBeUndefined()
  expect(await readMetrics(gateway)).toMatch(/carillon_nats_reconnects_total\{[^}]*\} 1/)
})

test('NATS restarts between two messages: nothing that was stored is missed', async () => {
  const gateway = await stage.gateway()
  await stage.putConversation('group:b', ['ann', 'bob'])
  const ann = kept(await ImClient.connect(gateway.listener.port, 'ann'))
  const bob = kept(await ImClient.connect(gateway.listener.port, 'bob'))
  const wanted: string[] = []
  for (let round = 0; round < 3; round++) {
    await stage.nats.halt('SIGKILL')
    await eventually(() => !gateway.bus.connected)
    await stage.nats.resume()
    const text = `round ${round}`
    wanted.push(text)
    await eventually(async () => {
      const message = ann.message('group:b', text, { clientMsgId: text })
      return (await ann.request('SendMsgList', { msgDataList: [message] })).code === 'Success'
    })
  }
  for (const client of [ann, bob]) {
    await eventually(() => wanted.every((text) => client.textsOf('group:b').includes(text)), 30_000)
    expect(client.closed).toBeUndefined()
  }
})

test('an instance that is cut off from NATS makes good for what it has missed', async () => {
  const link = await NatsLink.open(stage.nats.port)
  const cutOff = await stage.gateway({ NATS_URL: link.url })
  const other = await stage.gateway()
  await stage.putConversation('group:c', ['ann', 'bob'])
  await stage.putConversation('group:d', ['ann'])
  const ann = kept(await ImClient.connect(other.listener.port, 'ann'))
  const bob = kept(await ImClient.connect(cutOff.listener.port, 'bob', { deviceId: 'phone' }))
  const moving = kept(await ImClient.connect(cutOff.listener.port, 'bob', { deviceId: 'tablet' }))
  const leaving = kept(await ImClient.connect(cutOff.listener.port, 'carl'))
  const joining = kept(await ImClient.connect(cutOff.listener.port, 'dave'))
  const offline = await offlineOf(cutOff)
  await ann.send('group:c', 'before')
  await ann.send('group:d', 'before bob')
  await eventually(() => bob.textsOf('group:c').length === 1)

  link.cut()
  await eventually(() => !cutOff.bus.connected)
  const texts = Array.from({ length: 250 }, (_, i) => `missed ${i}`)
  for (let i = 0; i < texts.length; i += 50) {
    const msgDataList = texts.slice(i, i + 50).map((text) => ann.message('group:c', text))
    await ann.succeed('SendMsgList', { msgDataList })
  }
  await stage.putConversation('group:d', ['ann', 'bob'])
  await ann.send('group:d', 'welcome')
  // One who joins behind what bob has missed.
  await stage.putConversation('group:c', ['ann', 'bob', 'dave'])
  texts.push('to dave too')
  await ann.send('group:c', 'to dave too')
  await stage.sendNotice(['bob'], 'missed notice')
  // The tablet moves to the other instance, which the one that is cut off does not hear.
  const moved = kept(await ImClient.connect(other.listener.port, 'bob', { deviceId: 'tablet' }))
  expect(moving.closed).toBeUndefined()

  leaving.close()
  await eventually(() => cutOff.users.get('carl') === undefined)

  link.restore()
  await eventually(() => bob.textsOf('group:c').length === 252, 30_000)
  expect(bob.textsOf('group:c').slice(1)).toEqual(texts)
  await eventually(() => bob.notices.some(({ title }) => title === 'missed notice'))
  expect(await moving.end()).toEqual({ code: 1000, reason: 'duplicate connection' })
  await ann.send('group:d', 'both')
  await eventually(() => bob.textsOf('group:d').includes('both'))
  // The conversation was new: nobody but its members knows of it.
  await eventually(() => bob.textsOf('group:d').includes('welcome'))
  expect(bob.textsOf('group:d')).not.toContain('before bob')
  await eventually(() => joining.textsOf('group:c').length > 0)
  expect(joining.textsOf('group:c')).toEqual(['to dave too'])
  expect(moved.closed).toBeUndefined()
  await eventually(() => offline.includes('carl'))
  expect(offline).not.toContain('bob')
  expect(await readMetrics(cutOff)).toMatch(/carillon_im_caught_up_total\{[^}]*\} 2\d\d/)

  // Who was removed meanwhile gets nothing more.
  link.cut()
  await eventually(() => !cutOff.bus.connected)
  await stage.putConversation('group:c', ['ann'])
  link.restore()
  await eventually(() => cutOff.bus.connected)
  await eventually(() => !cutOff.users.get('bob')?.memberships.has('group:c'))
  await ann.send('group:c', 'without bob')
  await eventually(() => ann.textsOf('group:c').includes('without bob'))
  await ann.send('group:d', 'last')
  await eventually(() => bob.textsOf('group:d').includes('last'))
  expect(bob.textsOf('group:c')).not.toContain('without bob')
  await cutOff.stop()
  await link.close()
})

test('what was missed comes though something newer was pushed before it was asked for', async () => {
  const link = await NatsLink.open(stage.nats.port)
  const cutOff = await stage.gateway({ NATS_URL: link.url })
  await stage.putConversation('group:gap', ['ann', 'bob'])
  const other = await stage.gateway()
  const ann = kept(await ImClient.connect(other.listener.port, 'ann'))
  const bob = kept(await ImClient.connect(cutOff.listener.port, 'bob'))
  for (let round = 0; round < 3; round++) {
    link.cut()
    await eventually(() => !cutOff.bus.connected)
    await ann.send('group:gap', `missed ${round}`)
    // The message service is slow to say which conversations there are: no position is known by then.
    const load = cutOff.users.load.bind(cutOff.users)
    let newer = false
    cutOff.users.load = async (user) => {
      await eventually(() => newer)
      return load(user)
    }
    link.restore()
    await eventually(() => cutOff.bus.connected)
    await cutOff.bus.roundTrip()
    await ann.send('group:gap', `newer ${round}`)
    await eventually(() => bob.textsOf('group:gap').includes(`newer ${round}`))
    newer = true
    cutOff.users.load = load
    await eventually(() => bob.textsOf('group:gap').includes(`missed ${round}`))
  }
  await cutOff.stop()
  await link.close()
})

test('a drain closes with 1012, and tells that the devices have gone', async () => {
  const gateway = await stage.gateway({ DRAIN_SECONDS: '1' })
  const offline = await offlineOf(gateway)
  const all = await Promise.all(
    ['ann', 'bob', 'carl'].map((userId) => ImClient.connect(gateway.listener.port, userId)),
  )
  clients.push(...all)
  await gateway.stop()
  for (const client of all) expect(await client.end()).toEqual({ code: 1012, reason: 'service restart' })
  await eventually(() => offline.length === 3)
  expect(offline.sort()).toEqual(['ann', 'bob', 'carl'])
})

test('without the message service a connect waits, and is closed with 1013 after 15 s', async () => {
  await stage.stopMessages()
  const clock = new ManualClock()
  const gateway = await stage.gateway({}, { clock })
  const token = await loginToken('ann', { created: undefined })
  const waiting = kept(new ImClient(gateway.listener.port, { token, ...parametersOf('ann') }))
  await eventually(() => gateway.users.size === 1)
  // It is a connection that can ask already.
  const answer = await waiting.ask(1, encode('BatchGetConvSeqReq', { convIdList: [] }))
  expect(`${answer.code} ${reasonOf(answer)}`).toBe('RetryError the service did not answer in time')
  expect(waiting.texts).toEqual([])
  clock.move(15_200)
  expect(await waiting.end()).toEqual({ code: 1013, reason: 'try again later' })
  await eventually(() => gateway.users.size === 0)

  const patient = kept(new ImClient(gateway.listener.port, { token, ...parametersOf('ann') }))
  await eventually(() => gateway.users.size === 1)
  await stage.startMessages()
  await eventually(() => patient.texts[0] === 'connected', 30_000)
})
