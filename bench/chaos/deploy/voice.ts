import { DEVELOPMENT_SECRET, mintSid } from '@carillon/auth'
import { VoiceRoomClient } from '@carillon/client/voice'
import { voice, voiceEventsStream } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { connectionOptions, countSessions } from './library-client.ts'
import type { Traffic, TrafficOptions } from './traffic.ts'

const ROOM_SIZE = 5
const PUBLISH_MS = 500
const ANSWER_MS = 60_000

/** Members of rooms, who report every notice; nobody may be evicted, and every notice is answered. */
export function voiceTraffic(options: TrafficOptions): Traffic {
  const { clients, bus, sessions, random } = options
  const members = Array.from({ length: clients }, (_, i) => {
    const userId = `member${i}`
    const client = new VoiceRoomClient({
      ...connectionOptions(options),
      sid: () => mintSid(DEVELOPMENT_SECRET, userId, Math.floor(Date.now() / 1_000) + 3_600),
      // It is reported when this is done.
      relay: () => {},
    })
    return {
      ...{ userId, room: `rollout${Math.floor(i / ROOM_SIZE)}`, client },
      stop: countSessions(client, userId, sessions),
    }
  })
  let asked = 0
  let confirmed = 0
  let unconfirmed = 0
  const timers: NodeJS.Timeout[] = []
  const publish = async () => {
    const { userId, room } = members[Math.floor(random() * members.length)] as (typeof members)[number]
    asked += 1
    const answer = await bus.request(
      voice.room,
      { channelName: room, action: 'send_topic_msg' },
      { user_id: userId, content: 'hello' },
      { timeoutMs: ANSWER_MS },
    )
    if (answer.confirmed) confirmed += 1
    else unconfirmed += 1
  }
  return {
    async start() {
      await Promise.all(members.map(({ client }) => client.connect()))
      await eventually(() => sessions.connected === clients, 60_000)
      for (const { userId, room } of members) {
        const headers = { 'Carillon-Delivery': 'broadcast' }
        bus.publish(voice.room, { channelName: room, action: 'enter_room' }, { user_id: userId }, { headers })
      }
      await eventually(async () => {
        const { room } = members.at(-1) as (typeof members)[number]
        const { members: there } = await bus.request(voice.room_state, {}, { channel_name: room })
        return there.every(({ online }) => online) && there.length > 0
      }, 60_000)
      timers.push(setInterval(() => void publish().catch(() => {}), PUBLISH_MS))
    },
    async finish() {
      clearInterval(timers.pop())
      await eventually(() => confirmed + unconfirmed === asked, ANSWER_MS).catch(() => {})
      const counts = await bus.stream(voiceEventsStream).counts(voice.evicted.filter())
      const evicted = [...counts.values()].reduce((sum, count) => sum + count, 0)
      const unanswered = asked - confirmed - unconfirmed
      return {
        expected: asked,
        missed: unanswered + unconfirmed,
        broken: [
          ...(evicted > 0 ? [`${evicted} users were evicted though they came back`] : []),
          ...(unanswered > 0 ? [`${unanswered} notices are neither confirmed nor unconfirmed`] : []),
        ],
        notes: [`notices: ${confirmed} confirmed, ${unconfirmed} unconfirmed; nobody evicted`],
      }
    },
    stop() {
      for (const timer of timers) clearInterval(timer)
      for (const { stop } of members) stop()
    },
  }
}
