import { Bus } from '@carillon/bus'
import { bucketKey, type VoiceUserRecord, voice, voiceLeases, voiceUsers } from '@carillon/events'
import { AppProcess, eventually, NatsServer } from '@carillon/testkit'
import { VoiceUser } from '../chaos/voice-clients.ts'
import { type CaseResult, ms, thousands } from '../result.ts'
import { percentiles } from '../statistics.ts'

const ROSTERS = Number(process.env.BENCH_VOICE_ROSTERS ?? 100_000)
const MEMBERS = Math.min(10_000, ROSTERS)
const WRITES_AT_ONCE = 200
const LEASE_MS = 1_000
const STATES = 20
const RELAYS = 300
const BIG_ROOM = 'big'
/** An instance that holds all but one of the users: it renews its lease, and nothing else. */
const HOLDER = 'holder'

const recordOf = (user_id: string, channel_name: string): VoiceUserRecord => ({
  user_id,
  session: { lease: HOLDER, connection: `connection-of-${user_id}`, at: 1 },
  absence: null,
  room: { channel_name, user_id, seat: null },
  room_version: { epoch: 1, sequence: 1 },
  call: null,
  call_version: null,
  eviction: null,
})

/** What 100,000 rosters and a room of 10,000 members cost an instance that holds none of them. */
export async function voiceRosters(): Promise<CaseResult> {
  const nats = await NatsServer.start()
  const bus = new Bus({ url: nats.url, name: 'bench' })
  let instance: AppProcess | undefined
  let renewing: NodeJS.Timeout | undefined
  const user = new VoiceUser('listener', BIG_ROOM)
  const start = () =>
    AppProcess.start('voice-room-ws', 'VOICE', {
      NATS_URL: nats.url,
      LOG_LEVEL: 'fatal',
      // One client reports all relays, one after the other.
      VOICE_MAX_FRAMES_PER_SECOND: '10000',
    })
  try {
    bus.start()
    await eventually(() => bus.connected)
    const leases = bus.bucket(voiceLeases)
    const renew = (renewed: number) =>
      leases.put(bucketKey(HOLDER), { instance_id: HOLDER, renewed, taken_by: null, started_at: 1 })
    let renewals = 0
    await renew(renewals)
    renewing = setInterval(() => void renew(++renewals).catch(() => {}), LEASE_MS)

    // What an instance needs that knows nobody.
    const empty = await start()
    const before = (await empty.metrics()).get('process_resident_memory_bytes') ?? 0
    await empty.stop()

    const records = [
      ...Array.from({ length: ROSTERS }, (_, i) => recordOf(`roster-${i}`, `room-${i}`)),
      ...Array.from({ length: MEMBERS - 1 }, (_, i) => recordOf(`member-${i}`, BIG_ROOM)),
    ]
    const users = bus.bucket(voiceUsers)
    for (let i = 0; i < records.length; i += WRITES_AT_ONCE)
      await Promise.all(
        records.slice(i, i + WRITES_AT_ONCE).map((record) => users.put(bucketKey(record.user_id), record)),
      )

    const startedAt = performance.now()
    instance = await start()
    const readyMs = performance.now() - startedAt
    const { port } = instance
    const metrics = () => (instance as AppProcess).metrics()
    await eventually(async () => (await metrics()).get('carillon_voice_users') === records.length, 120_000)
    const knownMs = performance.now() - startedAt
    const grown = ((await metrics()).get('process_resident_memory_bytes') ?? 0) - before

    user.live(port, () => [port])
    await eventually(() => user.online, 60_000)
    const ask = (action: string, body: object, headers: Readonly<Record<string, string>> = {}) =>
      bus.request(voice.room, { channelName: BIG_ROOM, action }, body as never, {
        timeoutMs: 60_000,
        headers,
      })
    await ask('enter_room', { user_id: user.userId }, { 'Carillon-Delivery': 'broadcast' })

    const states: number[] = []
    let told = 0
    for (let i = 0; i < STATES; i++) {
      const askedAt = performance.now()
      let next: string | undefined
      told = 0
      do {
        const state = await bus.request(
          voice.room_state,
          {},
          { channel_name: BIG_ROOM, ...(next !== undefined && { next }) },
          { timeoutMs: 60_000 },
        )
        told += state.members.length
        next = state.next
      } while (next !== undefined)
      states.push(performance.now() - askedAt)
    }

    // A hang_up goes to its receiver and nobody else: the only one here who reports.
    const relays: number[] = []
    let unconfirmed = 0
    for (let i = 0; i < RELAYS; i++) {
      const askedAt = performance.now()
      const { confirmed } = await ask('hang_up', { user_id: 'member-0', receiver_id: user.userId })
      relays.push(performance.now() - askedAt)
      if (!confirmed) unconfirmed += 1
    }
    const broadcasts: number[] = []
    for (let i = 0; i < RELAYS; i++) {
      const askedAt = performance.now()
      await ask('room_notice', { content: `${i}` })
      broadcasts.push(performance.now() - askedAt)
    }
    const [state, relay, broadcast] = [states, relays, broadcasts].map((each) => percentiles(each)) as [
      ReturnType<typeof percentiles>,
      ReturnType<typeof percentiles>,
      ReturnType<typeof percentiles>,
    ]
    const evicted = (await metrics()).get('carillon_evictions_total') ?? 0
    return {
      title: 'Many rosters, and a room of many members, on voice-room-ws',
      how: `${thousands(ROSTERS)} rooms of one member and one of ${thousands(MEMBERS)}: as many records in the bucket as another instance had stored them, which holds all connections but one. A new instance reads them, and serves them.`,
      rows: [
        { what: 'start → ready, before everything is read', measured: ms(readyMs) },
        { what: `start → all ${thousands(records.length)} users known`, measured: ms(knownMs) },
        {
          what: 'RSS for each user of all instances, beyond that of an empty instance',
          measured: `${(grown / records.length / 1_024).toFixed(2)} KB (${(grown / 2 ** 20).toFixed(0)} MB)`,
          reach: '≤ 4 KB',
          reached: grown / records.length <= 4_096,
        },
        {
          what: `all parts of room_state, ${thousands(told)} members, p50 / p99`,
          measured: `${ms(state.p50)} / ${ms(state.p99)}`,
          reach: 'every member',
          reached: told === MEMBERS,
        },
        {
          what: 'a relay in the large room, publish → confirmed, p50 / p99',
          measured: `${ms(relay.p50)} / ${ms(relay.p99)}; ${unconfirmed} unconfirmed`,
          reach: 'p99 ≤ 50 ms, all confirmed',
          reached: relay.p99 <= 50 && unconfirmed === 0,
        },
        {
          what: 'a broadcast in the large room, publish → answered, p50 / p99',
          measured: `${ms(broadcast.p50)} / ${ms(broadcast.p99)}`,
        },
        {
          what: 'users of the live instance that were evicted',
          measured: thousands(evicted),
          reach: 'none',
          reached: evicted === 0,
        },
      ],
    }
  } finally {
    clearInterval(renewing)
    user.die()
    await instance?.stop('SIGKILL')
    await bus.stop()
    await nats.stop()
  }
}
