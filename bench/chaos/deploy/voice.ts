import { DEVELOPMENT_SECRET, mintSid, signFrame } from '@carillon/auth'
import { voice, voiceEventsStream } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { ReconnectingSocket } from './reconnecting-socket.ts'
import type { Traffic, TrafficOptions } from './traffic.ts'

const ROOM_SIZE = 5
const PUBLISH_MS = 500
const PING_MS = 5_000
const ANSWER_MS = 60_000

/** Members of rooms, who report every notice; nobody may be evicted, and every notice is answered. */
export function voiceTraffic({ clients, bus, endPoints, sessions, random }: TrafficOptions): Traffic {
  const members = Array.from({ length: clients }, (_, i) => {
    const userId = `member${i}`
    let credentials = { sid: '', online_token: '' }
    const frame = (fields: Record<string, string>) =>
      signFrame(
        { ...credentials, timestamp: Math.floor(Date.now() / 1_000), ...fields },
        { method: 'md5', secret: '' },
      )
    const socket: ReconnectingSocket = new ReconnectingSocket({
      ...{ name: userId, service: 'voice', endPoints, sessions, finalCodes: [4401, 4403, 4409, 4410, 4429] },
      path() {
        const sid = mintSid(DEVELOPMENT_SECRET, userId, Math.floor(Date.now() / 1_000) + 3_600)
        credentials = { sid, online_token: '' }
        return `/?sid=${encodeURIComponent(sid)}`
      },
      opened: () => {},
      received(text) {
        const { action, online_token, user_id } = JSON.parse(text)
        if (action === 'create_token') {
          credentials = { ...credentials, online_token }
          socket.send(frame({ action: 'ping' }))
        } else if (action === 'send_topic_msg')
          socket.send(frame({ action: 'send_topic_msg_report', user_id: String(user_id) }))
      },
    })
    return {
      ...{ userId, room: `rollout${Math.floor(i / ROOM_SIZE)}`, socket },
      ping() {
        if (credentials.online_token !== '') socket.send(frame({ action: 'ping' }))
      },
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
      await Promise.all(members.map(({ socket }) => socket.connect()))
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
      timers.push(
        setInterval(() => {
          for (const member of members) member.ping()
        }, PING_MS),
        setInterval(() => void publish().catch(() => {}), PUBLISH_MS),
      )
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
      for (const { socket } of members) socket.stop()
    },
  }
}
