import { Bus } from '@carillon/bus'
import { type VoiceUnconfirmed, voice, voiceEventsStream } from '@carillon/events'
import { eventually, NatsServer, publishRaw } from '@carillon/testkit'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { bootVoice, VoiceClient, type VoiceRoomWs } from './voice.ts'

let nats: NatsServer
let bus: Bus
let one: VoiceRoomWs
let two: VoiceRoomWs
const clients: VoiceClient[] = []
let unconfirmed: VoiceUnconfirmed[]
let reported: unknown[]

beforeAll(async () => {
  nats = await NatsServer.start()
  bus = new Bus({ url: nats.url, name: 'test' })
  bus.start()
  await eventually(() => bus.connected)
  bus.subscribe(voice.unconfirmed, {}, ({ payload }) => unconfirmed.push(payload))
  bus.subscribe(voice.report, {}, ({ payload }) => reported.push(payload))
  const short = { VOICE_RELAY_TIMEOUT_MS: '300', VOICE_HEARTBEAT_TIMEOUT_MS: '60000' }
  ;[one, two] = await Promise.all([bootVoice(nats, short), bootVoice(nats, short)])
})
afterAll(async () => {
  await Promise.all([one?.stop(), two?.stop()])
  await bus?.stop()
  await nats?.stop()
})
beforeEach(() => {
  unconfirmed = []
  reported = []
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.kill()
  for (const user_id of [1233])
    bus.publish(voice.room, { channelName: 'none', action: 'enter_room' }, { user_id })
  bus.publish(voice.room, { channelName: 'none', action: 'exit_room' }, { user_id: 1233 })
  // The evictions of one test are no part of the next one.
  await eventually(() => one.directory.size + two.directory.size + one.relays.open + two.relays.open === 0)
})

let lastRoom = 0
/** A room of its own, whose members are connected by turns to both instances. */
async function room(...userIds: string[]): Promise<{ name: string; members: VoiceClient[] }> {
  const name = `房间 ${++lastRoom}/*.>`
  const members = await Promise.all(
    userIds.map((userId, i) => VoiceClient.connect(i % 2 === 0 ? one : two, userId)),
  )
  clients.push(...members)
  const options = { headers: { 'Carillon-Delivery': 'broadcast' } }
  for (const user_id of userIds)
    bus.publish(voice.room, { channelName: name, action: 'enter_room' }, { user_id }, options)
  await eventually(
    async () => (await state(name)).members.filter(({ online }) => online).length === userIds.length,
  )
  return { name, members }
}
const state = (channel_name: string) => bus.request(voice.room_state, {}, { channel_name })
const user = (user_id: string | number) => bus.request(voice.user_state, {}, { user_id })
const ask = (channelName: string, action: string, body: object, headers = {}) =>
  bus.request(voice.room, { channelName, action }, body as never, { timeoutMs: 10_000, headers })

/** The documented notices, with the report that confirms each. */
const documented = [
  ['exit_room', { user_id: 1233, room_seat: { id: 1, status: 2, microphone: 0 } }, 'exit_room_report', 1233],
  [
    'enter_room',
    {
      user_id: 1233,
      nickname: '昵称',
      sex: 1,
      avatar_url: 'http://a/1.png',
      avatar_small_url: 'http://a/s.png',
      i_segment: 'star',
      i_segment_text: '明星',
      user_car_gift: {
        name: '',
        image_url: '',
        image_small_url: '',
        image_big_url: '',
        dynamic_image_url: '',
        svga_image_name: '',
        render_type: 'svga',
        svga_image_url: '',
        show_rank: 1,
        expire_time: 2,
        gift_type: 2,
        notice_content: '',
      },
    },
    'enter_room_report',
    1233,
  ],
  [
    'send_topic_msg',
    { user_id: 1233, nickname: 'n', sex: 0, avatar_url: '', avatar_small_url: '', content: '你好' },
    'send_topic_msg_report',
    1233,
  ],
  [
    'send_gift',
    {
      notify_type: 'bc',
      gift: {
        id: 1,
        sender_room_seat_id: 1,
        receiver_room_seat_id: 2,
        sender_id: 1233,
        receiver_id: 5,
        sender_nickname: 'a',
        receiver_nickname: 'b',
        name: 'g',
        dynamic_image_url: '',
        image_url: '',
        image_big_url: '',
        image_small_url: '',
        num: 3,
      },
    },
    'send_gift_report',
    1233,
  ],
  [
    'up',
    {
      room_seat: {
        user_id: 1233,
        id: 4,
        sex: 1,
        avatar_url: '',
        avatar_small_url: '',
        nickname: 'n',
        status: 1,
        microphone: 1,
        rank: 1,
        room_id: 77,
      },
    },
    'up_deport',
    1233,
  ],
] as const

describe('the documented notices', () => {
  test.each(documented)(
    '%s reaches a member word for word, and is confirmed',
    async (action, body, report, about) => {
      const { name, members } = await room('9')
      const asked = ask(name, action, body)
      const [member] = members as [VoiceClient]
      const [frame] = await eventually(() => {
        const frames = member.socket.frames.filter(
          (text) => text.startsWith(`{"action":"${action}"`) && text.includes('1233'),
        )
        return frames.length > 0 && frames
      })
      expect(JSON.parse(frame as string)).toEqual({ action, ...body, channel_name: name })
      member.report(report, about)
      expect(await asked).toEqual({ delivered: true, relay_user_id: '9', confirmed: true })
      await eventually(() => reported.length === 1)
      expect(reported).toEqual([
        {
          action: report,
          user_id: '1233',
          reporter_id: '9',
          channel_name: name,
          timestamp: expect.any(Number),
        },
      ])
    },
  )

  test('down is about whoever sat there; the spelling up_report is fine too', async () => {
    const { name, members } = await room('9', '8')
    const [nine, eight] = members as [VoiceClient, VoiceClient]
    const up = ask(name, 'up', { room_seat: { user_id: '8', id: 4, status: 1 } })
    await eventually(() => nine.notices('up').length === 1)
    nine.report('up_report', 8)
    expect((await up).confirmed).toBe(true)
    expect(await user(8)).toMatchObject({ room_seat: { id: 4, status: 1 } })
    const down = ask(name, 'down', { room_seat: { id: 4, status: 0, microphone: 0, rank: 1, room_id: 7 } })
    await eventually(() => nine.notices('down').length === 1)
    nine.report('down_report', '8')
    expect(await down).toMatchObject({ relay_user_id: '9', confirmed: true })
    expect(eight.notices('down')).toEqual([])
    expect(await user(8)).toMatchObject({ channel_name: name, room_seat: null })
  })

  test('room_notice goes to everybody, and needs no report', async () => {
    const { name, members } = await room('1', '2', '3')
    const body = { expire_time: 5, content: 'hello', client_url: 'app://rooms/detail?id=1' }
    expect(await ask(name, 'room_notice', body)).toEqual({
      delivered: true,
      relay_user_id: '',
      confirmed: false,
    })
    await eventually(() => members.every((member) => member.notices('room_notice').length === 1))
    expect(members[0]?.notices('room_notice')).toEqual([
      { action: 'room_notice', ...body, channel_name: name },
    ])
  })

  test('straight to one user', async () => {
    const { members } = await room('1', '2')
    const [first, second] = members as [VoiceClient, VoiceClient]
    const asked = bus.request(
      voice.user,
      { userId: '2', action: 'send_topic_msg' },
      { user_id: 5, content: 'x' },
      { timeoutMs: 10_000 },
    )
    await eventually(() => second.notices('send_topic_msg').length === 1)
    second.report('send_topic_msg_report', 5)
    expect(await asked).toEqual({ delivered: true, relay_user_id: '2', confirmed: true })
    expect(first.notices('send_topic_msg')).toEqual([])
    expect(
      await bus.request(
        voice.user,
        { userId: 'nobody', action: 'room_notice' },
        { content: 'x' },
        { timeoutMs: 10_000 },
      ),
    ).toEqual({ delivered: false, relay_user_id: '', confirmed: false })
  })
})

describe('relay', () => {
  test('a member that does not report is passed over; nobody left is said', async () => {
    const { name, members } = await room('1', '2', '3')
    const asked = ask(name, 'send_topic_msg', { user_id: '1', content: 'x' })
    const others = members.slice(1)
    await eventually(() => others.every((member) => member.notices('send_topic_msg').length === 1))
    expect(await asked).toMatchObject({ delivered: true, confirmed: false })
    const ours = () => unconfirmed.filter(({ channel_name }) => channel_name === name)
    await eventually(() => ours().length === 1)
    expect(ours()[0]).toMatchObject({
      channel_name: name,
      action: 'send_topic_msg',
      user_id: '1',
      reason: 'nobody_left',
    })
    expect(ours()[0]?.tried.toSorted()).toEqual(['2', '3'])
    expect(members[0]?.notices('send_topic_msg')).toEqual([])
    expect(await bus.stream(voiceEventsStream).counts(voice.unconfirmed.subject({}))).not.toEqual(new Map())
  })

  test('a report that comes late counts, and ends the relay', async () => {
    const { name, members } = await room('1', '2', '3')
    const asked = ask(name, 'send_topic_msg', { user_id: '1', content: 'x' })
    const [, two_, three] = members as [VoiceClient, VoiceClient, VoiceClient]
    await eventually(
      () => two_.notices('send_topic_msg').length + three.notices('send_topic_msg').length === 2,
    )
    two_.report('send_topic_msg_report', 1)
    expect(await asked).toEqual({ delivered: true, relay_user_id: '2', confirmed: true })
  })

  test('in an empty room nobody is left at once; a report for nothing is passed on and harms nothing', async () => {
    expect(await ask('empty', 'send_topic_msg', { user_id: '1', content: 'x' })).toEqual({
      delivered: false,
      relay_user_id: '',
      confirmed: false,
    })
    const { members } = await room('1')
    members[0]?.report('send_gift_report', 5)
    await eventually(() => reported.length === 1)
  })

  test('one id, one notice: whoever asks again gets the same answer', async () => {
    const { name, members } = await room('1', '2')
    const id = { 'Nats-Msg-Id': `id-${name.length}-${lastRoom}` }
    const body = { user_id: '1', content: 'x' }
    const asked = ask(name, 'send_topic_msg', body, id)
    const member = members[1] as VoiceClient
    await eventually(() => member.notices('send_topic_msg').length === 1)
    member.report('send_topic_msg_report', 1)
    const answer = await asked
    expect(await ask(name, 'send_topic_msg', body, id)).toEqual(answer)
    expect(member.notices('send_topic_msg').length).toBe(1)
  })
})

test('payloads that are no notices are refused, with the reason to whoever asks', async () => {
  const refused = (channelName: string, action: string, body: object) =>
    ask(channelName, action, body).catch((error: Error) => error.message)
  expect(await refused('r', 'dance', {})).toContain('unknown action')
  expect(await refused('r', 'enter_room', {})).toContain('user_id')
  expect(await refused('r', 'enter_room', { user_id: 1, channel_name: 'q' })).toContain('channel_name is q')
  expect(await refused('r', 'up', { room_seat: { id: 1 } })).toContain('user_id')
  expect(await refused('r', 'enter_room', { user_id: '测'.repeat(86) })).toContain('258 bytes')
  expect(await refused('r', 'send_topic_msg', { user_id: 1, content: 'x'.repeat(70_000) })).toContain(
    '65536 bytes',
  )
  await publishRaw(nats.port, 'voice.room.r.enter_room', 'no JSON')
  await eventually(async () => {
    const text = await (await fetch(`http://127.0.0.1:${one.adminPort}/metrics`)).text()
    return /rejected_payloads_total\{[^}]*domain="voice"[^}]*\} [1-9]/.test(text)
  })
})

test('calls: who hangs up by being gone is told to the other party alone', async () => {
  const { name, members } = await room('1', '2', '3')
  const [first, second, third] = members as [VoiceClient, VoiceClient, VoiceClient]
  bus.publish(voice.call_start, { channelName: 'call' }, { user_id: 1, receiver_id: 2 })
  await eventually(async () => (await user(2)).call !== null && (await user(1)).call !== null)
  expect((await user(1)).call).toEqual({ channel_name: 'call', user_id: 1, receiver_id: 2 })
  first.kill()
  await eventually(() => second.notices('hang_up').length === 1)
  expect(second.notices('hang_up')).toEqual([
    { action: 'hang_up', user_id: 1, receiver_id: 2, channel_name: 'call' },
  ])
  second.report('hang_up_report', 1)
  await eventually(async () => (await user(2)).call === null)
  expect(third.notices('hang_up')).toEqual([])
  expect((await state(name)).member_count).toBe(2)
  await eventually(() => second.notices('exit_room').length + third.notices('exit_room').length > 0)

  bus.publish(voice.call_start, { channelName: 'next' }, { user_id: 2, receiver_id: 3 })
  await eventually(async () => (await user(3)).call !== null)
  bus.publish(voice.call_end, { channelName: 'next' }, {})
  await eventually(async () => (await user(3)).call === null && (await user(2)).call === null)
})
