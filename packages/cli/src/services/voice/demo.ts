import { setTimeout as sleep } from 'node:timers/promises'
import { mintSid } from '@carillon/auth'
import { VoiceRoomClient, type WebSocketConstructor } from '@carillon/client/voice'
import { type VoiceAction, voice } from '@carillon/events'
import { WebSocket } from 'ws'
import { positiveInteger } from '../../option.ts'
import type { DemoContext } from '../../service-info.ts'
import { ToolError } from '../../tool-error.ts'
import { signOf } from './sign.ts'

interface DemoMember {
  readonly userId: string
  readonly client: VoiceRoomClient
}

const NAMES = ['Ann', 'Ben', 'Chen', 'Dora', 'Emil', 'Fang']

/** A room in which a few members live: they talk, take seats, give, lose their connection, and come back. */
export async function runVoiceDemo(
  context: DemoContext,
  baseUrl: string,
  sidSecret: string,
): Promise<string> {
  const { bus, options, print, signal, random } = context
  const count = positiveInteger('--members', options.members)
  const channelName = options.room ?? 'demo'
  const pick = <T>(from: readonly T[]) => from[Math.floor(random() * from.length)] as T
  const members: DemoMember[] = []
  let published = 0
  const publish = async (action: VoiceAction, body: object) => {
    published += 1
    const answer = await bus
      .request(voice.room, { channelName, action }, body as never, { timeoutMs: 30_000 })
      .catch((error: Error) => error.message)
    print(`${action} ${JSON.stringify(body)} → ${JSON.stringify(answer)}`)
  }
  const join = async (userId: string) => {
    members.push(await connect(baseUrl, sidSecret, userId))
    await publish('enter_room', { user_id: userId, nickname: nameOf(userId), i_segment: 'newcomer' })
  }
  print(`room ${channelName}; join it with`)
  print('  npm run carillon -- connect voice --user 3600')
  print(
    `  npm run carillon -- publish voice.room ${channelName} enter_room '{"user_id":3600,"nickname":"You"}'`,
  )
  try {
    for (let i = 0; i < count; i++) await join(`demo-${i}`)
    while (!signal.aborted) {
      const { userId, client } = pick(members)
      const chance = random()
      if (chance < 0.55) {
        await publish('send_topic_msg', { user_id: userId, nickname: nameOf(userId), content: 'hello' })
      } else if (chance < 0.75) {
        const gift = { id: 1, name: 'rose', sender_id: userId, receiver_id: pick(members).userId, num: 1 }
        await publish('send_gift', { notify_type: 'bc', gift })
      } else if (chance < 0.85) {
        await publish('up', {
          room_seat: { user_id: userId, id: 1 + Math.floor(random() * 4), status: 1, microphone: 1 },
        })
      } else if (chance < 0.95) {
        await publish('down', { room_seat: { id: 1 + Math.floor(random() * 4), status: 0, microphone: 0 } })
      } else {
        print(`${userId} loses the connection, and comes back`)
        client.close()
        members.splice(
          members.findIndex((each) => each.userId === userId),
          1,
        )
        await sleep(1_000, undefined, { signal }).catch(() => {})
        await join(userId)
      }
      await sleep(1_000, undefined, { signal }).catch(() => {})
    }
    return `${published} notices published`
  } finally {
    for (const { client } of members) client.close()
  }
}

function nameOf(userId: string): string {
  return NAMES[Number(userId.split('-')[1]) % NAMES.length] as string
}

async function connect(baseUrl: string, sidSecret: string, userId: string): Promise<DemoMember> {
  const client = new VoiceRoomClient({
    endpoint: baseUrl,
    sid: () => mintSid(sidSecret, userId, Math.floor(Date.now() / 1_000) + 86_400),
    sign: signOf(process.env),
    // Nobody is on the signalling channel of a demo: every notice counts as passed on.
    relay: () => {},
    WebSocket: WebSocket as unknown as WebSocketConstructor,
    reconnect: { attemptsMax: 1 },
  })
  let problem = ''
  client.on('error', ({ message }) => {
    problem = message
  })
  await client.connect().catch((error: Error) => {
    throw new ToolError(`${baseUrl} is not reachable: ${problem || error.message}`)
  })
  return { userId, client }
}
