import { setTimeout as sleep } from 'node:timers/promises'
import { voiceUsers, voiceWorkStream } from '@carillon/events'
import { NatsCluster, NatsServer } from '@carillon/testkit'
import type { ChaosCase, ChaosOptions } from './main.ts'
import { seeded } from './random.ts'
import type { VoiceUser } from './voice-clients.ts'
import { VoiceFleet, type VoiceFleetOptions } from './voice-model.ts'

/** An instance is killed or suspended; the leader of a NATS cluster is killed; or all of NATS is away for a minute. */
type Fault = 'kill' | 'stop' | 'nats' | 'outage'
const FAULTS: readonly Fault[] = ['kill', 'stop', 'nats', 'outage']
const MIXED: readonly Fault[] = ['kill', 'stop']

const SETTLED_WITHIN_MS = 30_000
const STOPPED_MS = 40_000
const OUTAGE_MS = 60_000
/** With leaders of NATS that are killed meanwhile, everything may take so much longer. */
const SETTLED_WITH_NATS_MS = 90_000
const LOOK_AGAIN_MS = 30_000
const NODES = [0, 1, 2]
const LEADER_KILL_MS = 5_000
/** After an instance wakes, or a server comes back: time for what must not happen. */
const AFTERMATH_MS = 5_000
const NOTICES_PER_SECOND = 20
const PUBLISH_MS = 15_000

export interface VoiceChaos extends VoiceFleetOptions {
  readonly faults: readonly Fault[]
  /** One after the other; otherwise at random. */
  readonly inTurn?: boolean
  /** Meanwhile NATS's leaders are killed, one after the other. */
  readonly killLeaders?: boolean
  readonly rounds: number
  readonly untilMs?: number
  readonly seed: number
  readonly stoppedMs?: number
  readonly outageMs?: number
  /** How long notices are published after the fault. */
  readonly publishMs?: number
  readonly print: (line: string) => void
}

/** 500 users in 100 rooms over three instances: whatever fails, each of its users is evicted exactly once. */
export const voice: ChaosCase = async (options: ChaosOptions) => {
  const mixed = options.fault === 'mixed'
  const all = options.fault === undefined ? FAULTS : MIXED
  const wanted = options.fault === undefined || mixed ? all : [options.fault as Fault]
  if (wanted.some((fault) => !FAULTS.includes(fault)))
    return [`there is no fault ${options.fault}; faults: ${[...FAULTS, 'mixed'].join(', ')}`]
  return voiceChaos({
    instances: 3,
    users: 500,
    rooms: 100,
    faults: wanted,
    inTurn: options.fault === undefined,
    killLeaders: mixed,
    rounds: options.minutes === undefined ? options.rounds : Number.POSITIVE_INFINITY,
    ...(options.minutes !== undefined && { untilMs: performance.now() + options.minutes * 60_000 }),
    seed: options.seed,
    natsServers: wanted.includes('nats') || mixed ? 3 : 1,
    print: options.print,
  })
}

export async function voiceChaos(options: VoiceChaos): Promise<readonly string[]> {
  const { faults, rounds, untilMs = Number.POSITIVE_INFINITY, seed, print } = options
  const random = seeded(seed)
  const nats = options.natsServers === 3 ? await NatsCluster.start() : await NatsServer.start()
  let fleet: VoiceFleet | undefined
  const leaders = { kill: true }
  let killing: Promise<void> | undefined
  try {
    fleet = await VoiceFleet.start(nats.url, options)
    print(`${options.users} users in ${options.rooms} rooms over ${options.instances} instances`)
    if (options.killLeaders && nats instanceof NatsCluster)
      killing = killLeaders(nats, random, leaders, print)
    for (let round = 1; round <= rounds && performance.now() < untilMs; round++) {
      const fault = faults[
        options.inTurn ? (round - 1) % faults.length : Math.floor(random() * faults.length)
      ] as Fault
      const startedAt = performance.now()
      const { users } = fleet
      fleet.publish(NOTICES_PER_SECOND, () => users[Math.floor(random() * users.length)] as VoiceUser)
      const differences = await play(fault, fleet, nats, random, options)
      const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1)
      print(`round ${round}, ${fault}: ${differences.length === 0 ? 'held' : 'did not hold'} (${seconds} s)`)
      if (differences.length > 0) return differences.map((each) => `round ${round}, ${fault}: ${each}`)
      await fleet.populate()
    }
    return []
  } finally {
    leaders.kill = false
    await killing
    await fleet?.stop()
    await nats.stop()
  }
}

async function play(
  fault: Fault,
  fleet: VoiceFleet,
  nats: NatsCluster | NatsServer,
  random: () => number,
  {
    stoppedMs = STOPPED_MS,
    publishMs = PUBLISH_MS,
    outageMs = OUTAGE_MS,
    killLeaders: leadersDie,
  }: VoiceChaos,
): Promise<string[]> {
  const withinMs = leadersDie ? SETTLED_WITH_NATS_MS : SETTLED_WITHIN_MS
  await sleep(1_000)
  const index = Math.floor(random() * fleet.instances.length)
  const instance = fleet.instances[index]
  if (instance === undefined) throw new Error('no such instance')
  const lost = fleet.users.filter(({ port }) => port === instance.port)
  switch (fault) {
    case 'kill': {
      // Its clients are gone together with it, so that nobody else can tell.
      fleet.instances[index] = undefined
      await instance.stop('SIGKILL')
      for (const user of lost) user.die()
      fleet.expectEvicted(lost)
      const differences = await settled(fleet, publishMs, withinMs)
      await fleet.startInstance(index)
      return differences
    }
    case 'stop': {
      instance.signal('SIGSTOP')
      for (const user of lost) user.silence()
      fleet.expectEvicted(lost)
      const since = performance.now()
      const differences = await settled(fleet, publishMs, withinMs)
      await sleep(Math.max(0, stoppedMs - (performance.now() - since)))
      instance.signal('SIGCONT')
      await sleep(AFTERMATH_MS)
      for (const user of lost) user.die()
      return differences.length > 0 ? differences : fleet.differences()
    }
    case 'nats': {
      if (!(nats instanceof NatsCluster)) throw new Error('a leader is one of several servers')
      await killLeader(nats, random)
      await sleep(AFTERMATH_MS)
      return settled(fleet, publishMs)
    }
    case 'outage': {
      if (nats instanceof NatsCluster) await Promise.all(NODES.map((node) => nats.kill(node)))
      else await nats.halt('SIGKILL')
      await sleep(outageMs)
      if (nats instanceof NatsCluster) await Promise.all(NODES.map((node) => nats.resume(node)))
      else await nats.resume()
      return settled(fleet, publishMs)
    }
    default:
      return fault satisfies never
  }
}

/** Kills the server that leads the users' bucket or the work queue, and starts it again some seconds later. */
async function killLeader(nats: NatsCluster, random: () => number): Promise<number> {
  const leader = await nats.leaderOf(random() < 0.5 ? `KV_${voiceUsers.name}` : voiceWorkStream.name)
  await nats.kill(leader)
  await sleep(AFTERMATH_MS)
  await nats.resume(leader)
  return leader
}

async function killLeaders(
  nats: NatsCluster,
  random: () => number,
  leaders: { readonly kill: boolean },
  print: (line: string) => void,
): Promise<void> {
  while (leaders.kill) {
    await sleep(LEADER_KILL_MS * (0.5 + random()))
    if (leaders.kill)
      print(`  NATS server ${await killLeader(nats, random)} was killed as leader, and started again`)
  }
}

/**
 * Waits until the model holds, or the time for it is over; answers what does not hold then. Evictions and their
 * notices are due so long after the fault. A published notice is due so long after it was published, or after the
 * fault where that met it: a publish that no leader was there to store is asked again only after ten seconds, so that
 * one that is published last has as much time as the first one.
 */
async function settled(
  fleet: VoiceFleet,
  publishMs: number,
  withinMs = SETTLED_WITHIN_MS,
): Promise<string[]> {
  const faultOverAtMs = performance.now()
  const stopPublishingAtMs = faultOverAtMs + publishMs
  let publishing = true
  for (;;) {
    if (publishing && performance.now() > stopPublishingAtMs) {
      fleet.stopPublishing()
      publishing = false
    }
    const now = performance.now()
    let looked = true
    const evictions = await fleet.evictionDifferences().catch((error: Error) => {
      looked = false
      return [error.message]
    })
    const notices = fleet.openNotices()
    if (evictions.length === 0 && notices.length === 0 && !publishing)
      return fleet.late(faultOverAtMs, withinMs)
    // A look that failed, in an election perhaps, says nothing about evictions: another one is waited for.
    const graceMs = looked ? 0 : LOOK_AGAIN_MS
    const isEvictionsTimeOver = evictions.length > 0 && now > faultOverAtMs + withinMs + graceMs
    if (isEvictionsTimeOver || now > stopPublishingAtMs + withinMs + graceMs)
      return [...evictions, ...notices]
    await sleep(250)
  }
}
