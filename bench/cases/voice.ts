import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Bus } from '@carillon/bus'
import { voice, voiceEventsStream } from '@carillon/events'
import { AppProcess, eventually, NatsServer } from '@carillon/testkit'
import { VoiceUser } from '../chaos/voice-clients.ts'
import { type CaseResult, ms, thousands } from '../result.ts'
import { percentiles } from '../statistics.ts'

const USERS = Number(process.env.BENCH_VOICE_USERS ?? 5_000)
const ROOMS = USERS / 10
const PING_SECONDS = 45
const RELAY_SECONDS = 20
const RELAYS_PER_SECOND = 100
const EVICTED_WITHIN_S = 45
const OTHER_ROOMS = 50

/** A real nats-server, real instances in processes of their own, and clients in this one. */
class VoiceStack {
  readonly bus: Bus
  readonly instances: AppProcess[] = []
  readonly users: VoiceUser[] = []
  readonly #nats: NatsServer

  private constructor(nats: NatsServer) {
    this.#nats = nats
    this.bus = new Bus({ url: nats.url, name: 'bench' })
    this.bus.start()
  }

  static async start(instances: number): Promise<VoiceStack> {
    const stack = new VoiceStack(await NatsServer.start())
    await eventually(() => stack.bus.connected)
    for (let i = 0; i < instances; i++)
      stack.instances.push(
        await AppProcess.start('voice-room-ws', 'VOICE', { NATS_URL: stack.#nats.url, LOG_LEVEL: 'fatal' }),
      )
    return stack
  }

  instance(index: number): AppProcess {
    return this.instances[index] as AppProcess
  }

  /** Connects users, some at a time, and puts them into their rooms. */
  async join(instance: AppProcess, users: readonly VoiceUser[]): Promise<void> {
    this.users.push(...users)
    for (let i = 0; i < users.length; i += 100) {
      const some = users.slice(i, i + 100)
      for (const user of some) user.live(instance.port, () => [instance.port])
      await eventually(() => some.every(({ online }) => online), 60_000)
      await Promise.all(
        some.map(({ userId, room }) =>
          this.ask(room, 'enter_room', { user_id: userId }, { 'Carillon-Delivery': 'broadcast' }),
        ),
      )
    }
  }

  ask(channelName: string, action: string, body: object, headers: Readonly<Record<string, string>> = {}) {
    return this.bus.request(voice.room, { channelName, action }, body as never, {
      timeoutMs: 30_000,
      headers,
    })
  }

  /** Publishes notices at a rate, by turns to these rooms; answers how long each took until it was confirmed. */
  async relay(rooms: readonly string[], perSecond: number, until: (elapsedMs: number) => boolean) {
    const latencies: number[] = []
    const asked: Promise<void>[] = []
    let unconfirmed = 0
    const startedAt = performance.now()
    for (let i = 0; !until(performance.now() - startedAt); i++) {
      const sentAt = performance.now()
      const room = rooms[i % rooms.length] as string
      asked.push(
        this.ask(room, 'send_topic_msg', { user_id: 'somebody', content: randomUUID() }).then(
          ({ confirmed }) => {
            if (confirmed) latencies.push(performance.now() - sentAt)
            else unconfirmed += 1
          },
        ),
      )
      await sleep(Math.max(0, startedAt + ((i + 1) * 1_000) / perSecond - performance.now()))
    }
    await Promise.all(asked)
    return { ...percentiles(latencies), confirmed: latencies.length, unconfirmed }
  }

  async stop(): Promise<void> {
    for (const user of this.users) user.die()
    await Promise.all(this.instances.map((instance) => instance.stop('SIGKILL')))
    await this.bus.stop()
    await this.#nats.stop()
  }
}

const usersOf = (prefix: string, count: number, rooms: number) =>
  Array.from({ length: count }, (_, i) => new VoiceUser(`${prefix}-${i}`, `room-${i % rooms}`))

/** What heartbeats cost, and how long a relay takes, with 500 rooms live on one process. */
export async function voiceRelay(): Promise<CaseResult> {
  const stack = await VoiceStack.start(1)
  try {
    const instance = stack.instance(0)
    const empty = (await instance.metrics()).get('process_resident_memory_bytes') ?? 0
    await stack.join(instance, usersOf('u', USERS, ROOMS))
    await sleep(2_000)
    const before = await instance.metrics()
    await sleep(PING_SECONDS * 1_000)
    const after = await instance.metrics()
    const grown = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0)
    const cpu = grown('process_cpu_seconds_total') / PING_SECONDS
    const eachKb = ((after.get('process_resident_memory_bytes') ?? 0) - empty) / USERS / 1_024
    const rooms = Array.from({ length: ROOMS }, (_, i) => `room-${i}`)
    const relayed = await stack.relay(
      rooms,
      RELAYS_PER_SECOND,
      (elapsedMs) => elapsedMs > RELAY_SECONDS * 1_000,
    )
    return {
      title: 'Heartbeats and relays, on voice-room-ws',
      how: `${thousands(USERS)} users in ${thousands(ROOMS)} rooms on one process, each pinging every 15 s; then ${RELAYS_PER_SECOND} notices/s for ${RELAY_SECONDS} s, each relayed by one member and reported.`,
      rows: [
        {
          what: `CPU of the process while ${thousands(USERS)} users ping`,
          measured: `${(cpu * 100).toFixed(1)} % of a core; ${thousands(grown('carillon_voice_pings_total'))} pings`,
          reach: '≤ 10 %',
          reached: cpu <= 0.1,
        },
        { what: 'RSS for each user, connection and room included', measured: `${eachKb.toFixed(1)} KB` },
        {
          what: 'publish → confirmed, p50 / p99',
          measured: `${ms(relayed.p50)} / ${ms(relayed.p99)}`,
          reach: 'p99 ≤ 50 ms',
          reached: relayed.p99 <= 50,
        },
        {
          what: 'confirmed / unconfirmed',
          measured: `${thousands(relayed.confirmed)} / ${relayed.unconfirmed}`,
          reach: 'all confirmed',
          reached: relayed.unconfirmed === 0,
        },
      ],
    }
  } finally {
    await stack.stop()
  }
}

/** An instance with 5,000 users is killed: its users are evicted, while the other rooms notice nothing. */
export async function voiceEvictions(): Promise<CaseResult> {
  const stack = await VoiceStack.start(3)
  try {
    const lost = usersOf('lost', USERS, ROOMS)
    await stack.join(stack.instance(0), lost)
    await stack.join(stack.instance(1), usersOf('left', ROOMS, ROOMS))
    const others = Array.from(
      { length: OTHER_ROOMS * 2 },
      (_, i) => new VoiceUser(`other-${i}`, `other-${i % OTHER_ROOMS}`),
    )
    await stack.join(stack.instance(2), others)
    const stored = async () => {
      const counts = await stack.bus.stream(voiceEventsStream).counts(voice.evicted.filter())
      return [...counts.values()]
    }
    await stack.instance(0).stop('SIGKILL')
    for (const user of lost) user.die()
    const killedAt = performance.now()
    let doneAtMs: number | undefined
    const watching = eventually(async () => (await stored()).length >= USERS, EVICTED_WITHIN_S * 2_000).then(
      () => {
        doneAtMs = performance.now() - killedAt
      },
    )
    const rooms = [...new Set(others.map(({ room }) => room))]
    const meanwhile = await stack.relay(
      rooms,
      50,
      (elapsedMs) => doneAtMs !== undefined || elapsedMs > EVICTED_WITHIN_S * 1_000,
    )
    await watching
    const counts = await stored()
    const exactly = counts.length === USERS && counts.every((count) => count === 1)
    const told = stack.users.reduce((sum, { exits }) => sum + exits.length, 0)
    const seconds = (doneAtMs ?? Number.POSITIVE_INFINITY) / 1_000
    return {
      title: 'An instance is lost, on voice-room-ws',
      how: `${thousands(USERS)} users in ${thousands(ROOMS)} rooms on one of three instances, which is killed; one member of each room is on another instance, and ${OTHER_ROOMS} other rooms on a third one. The lease is 10 s.`,
      rows: [
        {
          what: 'from the kill until all are evicted',
          measured: `${seconds.toFixed(1)} s`,
          reach: `within ${EVICTED_WITHIN_S} s`,
          reached: seconds <= EVICTED_WITHIN_S,
        },
        {
          what: 'evictions in the stream',
          measured: thousands(counts.reduce((sum, count) => sum + count, 0)),
          reach: 'one for each user',
          reached: exactly,
        },
        { what: 'exit_room notices that members were given by then', measured: thousands(told) },
        {
          what: "other rooms' notices meanwhile, publish → confirmed, p50 / p99",
          measured: `${ms(meanwhile.p50)} / ${ms(meanwhile.p99)}`,
          reach: 'p99 ≤ 100 ms',
          reached: meanwhile.p99 <= 100,
        },
      ],
    }
  } finally {
    await stack.stop()
  }
}
