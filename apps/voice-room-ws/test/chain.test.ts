import { Bus } from '@carillon/bus'
import { type VoiceNotice, voice, voiceEventsStream } from '@carillon/events'
import { AppProcess, eventually, NatsServer, testEnvironment } from '@carillon/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { bootVoice, VoiceClient, type VoiceRoomWs } from './voice.ts'

const TIMES = { VOICE_LEASE_MS: '1500', VOICE_HEARTBEAT_TIMEOUT_MS: '2000' }

let nats: NatsServer
let bus: Bus
let other: VoiceRoomWs

beforeAll(async () => {
  nats = await NatsServer.start()
  bus = new Bus({ url: nats.url, name: 'test' })
  bus.start()
  await eventually(() => bus.connected)
  other = await bootVoice(nats, TIMES)
})
afterAll(async () => {
  await other?.stop()
  await bus?.stop()
  await nats?.stop()
})

const startInstance = () =>
  AppProcess.start('voice-room-ws', 'VOICE', { ...testEnvironment('VOICE', nats), ...TIMES })

const exitsOf = (client: VoiceClient, userId: string) =>
  client.notices('exit_room').filter(({ user_id }) => user_id === userId)

test.each<[string, (a: VoiceClient, instance: AppProcess) => void]>([
  ['is killed', (a) => a.kill()],
  ['falls silent', () => {}],
  ['loses its gateway to SIGKILL', (_a, instance) => void instance.stop('SIGKILL')],
])(
  'A %s: B is told, dies before it reports, C is told, reports, and nobody is told again',
  async (what, end) => {
    const instance = await startInstance()
    const room = `room where A ${what}`
    const [A, B, C] = [`A ${what}`, `B ${what}`, `C ${what}`] as const
    const a = await VoiceClient.connect(instance, A)
    // The two others are on another instance.
    const others = [await VoiceClient.connect(other, B), await VoiceClient.connect(other, C)]
    const alive = new Set([a, ...others])
    const pinging = setInterval(() => {
      for (const client of alive) client.ping()
    }, 300)
    try {
      const broadcast = { headers: { 'Carillon-Delivery': 'broadcast' } }
      const publish = (action: 'enter_room' | 'up', body: VoiceNotice) =>
        bus.publish(voice.room, { channelName: room, action }, body, broadcast)
      for (const user_id of [A, B, C]) publish('enter_room', { user_id })
      publish('up', { room_seat: { user_id: A, id: 3, status: 2, microphone: 1 } })
      await eventually(async () => {
        const { members } = await bus.request(voice.room_state, {}, { channel_name: room })
        return members.length === 3 && members.some(({ room_seat }) => room_seat !== null)
      })

      alive.delete(a)
      end(a, instance)
      const first = await eventually(() => others.find((client) => exitsOf(client, A).length > 0) ?? false)
      expect(exitsOf(first, A)).toMatchObject([
        { user_id: A, channel_name: room, room_seat: { id: 3, status: 2, microphone: 1 } },
      ])
      alive.delete(first)
      first.kill()
      others.splice(others.indexOf(first), 1)
      const [second] = others as [VoiceClient]
      await eventually(() => exitsOf(second, A).length === 1)
      second.report('exit_room_report', A)

      // The first one's own end is told too; what is asked then is later than all of it.
      await eventually(() => exitsOf(second, first.userId).length === 1)
      second.report('exit_room_report', first.userId)
      const late = await VoiceClient.connect(other, `D ${what}`)
      publish('enter_room', { user_id: late.userId })
      await eventually(async () => {
        const { members } = await bus.request(voice.room_state, {}, { channel_name: room })
        return (
          members
            .map(({ user_id }) => user_id)
            .sort()
            .join() === [second.userId, late.userId].sort().join()
        )
      })
      const delivered = await bus.request(
        voice.room,
        { channelName: room, action: 'room_notice' },
        { content: 'the end' },
        { timeoutMs: 10_000 },
      )
      expect(delivered).toMatchObject({ delivered: true })
      await eventually(() => late.notices('room_notice').length === 1)
      expect([exitsOf(second, A).length, exitsOf(late, A).length]).toEqual([1, 0])
      const counts = await bus.stream(voiceEventsStream).counts(voice.evicted.subject({ userId: A }))
      expect([...counts.values()]).toEqual([1])
      late.kill()
      second.kill()
    } finally {
      clearInterval(pinging)
      a.kill()
      await instance.stop('SIGKILL')
    }
  },
)

test('an instance is lost with all but one of a room: that one is told of each, and nobody who is lost is tried', async () => {
  // The lost ones are not evicted for anything else before.
  const environment = { ...testEnvironment('VOICE', nats), ...TIMES, VOICE_HEARTBEAT_TIMEOUT_MS: '60000' }
  const instance = await AppProcess.start('voice-room-ws', 'VOICE', environment)
  const room = 'room of the lost'
  // So many that the first are told of while the last are still to be evicted; and fewer reports than a burst may have.
  const lost = Array.from({ length: 30 }, (_, i) => `lost ${i}`)
  const clients = await Promise.all(lost.map((userId) => VoiceClient.connect(instance, userId)))
  const left = await VoiceClient.connect(other, 'left')
  const pinging = setInterval(() => left.ping(), 300)
  try {
    for (const user_id of [...lost, 'left'])
      bus.publish(
        voice.room,
        { channelName: room, action: 'enter_room' },
        { user_id },
        { headers: { 'Carillon-Delivery': 'broadcast' } },
      )
    await eventually(() => [...other.directory.members(room)].length === lost.length + 1)
    const before = await relayed('redriven')
    const confirmed = await relayed('confirmed')
    await instance.stop('SIGKILL')
    await eventually(() => lost.every((userId) => exitsOf(left, userId).length > 0))
    for (const userId of lost) left.report('exit_room_report', userId)
    await eventually(() => other.relays.open === 0)
    expect((await relayed('confirmed')) - confirmed).toBeGreaterThan(0)
    expect((await relayed('redriven')) - before).toBe(0)
  } finally {
    clearInterval(pinging)
    left.kill()
    for (const client of clients) client.kill()
    await instance.stop('SIGKILL')
  }
})

async function relayed(outcome: 'confirmed' | 'redriven'): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${other.adminPort}/metrics`)).text()
  const line = text
    .split('\n')
    .find((each) => each.includes('relays_total{') && each.includes(`"${outcome}"`))
  return Number(line?.split(' ').at(-1) ?? 0)
}
