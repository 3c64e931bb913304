import { setTimeout as sleep } from 'node:timers/promises'
import type { ChaosCase, ChaosOptions } from './main.ts'
import { NatsCluster } from './nats-cluster.ts'
import { seeded } from './random.ts'
import type { VoiceUser } from './voice-clients.ts'
import { VoiceFleet, type VoiceFleetOptions } from './voice-model.ts'

type Fault = 'kill' | 'stop' | 'nats'
const FAULTS: readonly Fault[] = ['kill', 'stop', 'nats']

const SETTLED_WITHIN_MS = 30_000
const STOPPED_MS = 40_000
/** After an instance wakes, or a server comes back: time for what must not happen. */
const AFTERMATH_MS = 5_000
const NOTICES_PER_SECOND = 20
const PUBLISH_MS = 15_000

export interface VoiceChaos extends VoiceFleetOptions {
  readonly faults: readonly Fault[]
  /** One after the other; otherwise at random. */
  readonly inTurn?: boolean
  readonly rounds: number
  readonly untilMs?: number
  readonly seed: number
  readonly natsServers: 1 | 3
  readonly stoppedMs?: number
  /** How long notices are published after the fault. */
  readonly publishMs?: number
  readonly print: (line: string) => void
}

/** 500 users in 100 rooms over three instances: whatever fails, each of its users is evicted exactly once. */
export const voice: ChaosCase = async (options: ChaosOptions) => {
  const wanted = options.fault === undefined || options.fault === 'mixed' ? FAULTS : [options.fault as Fault]
  if (wanted.some((fault) => !FAULTS.includes(fault)))
    return [`there is no fault ${options.fault}; faults: ${[...FAULTS, 'mixed'].join(', ')}`]
  return voiceChaos({
    instances: 3,
    users: 500,
    rooms: 100,
    faults: wanted,
    inTurn: options.fault === undefined,
    rounds: options.minutes === undefined ? options.rounds : Number.POSITIVE_INFINITY,
    ...(options.minutes !== undefined && { untilMs: performance.now() + options.minutes * 60_000 }),
    seed: options.seed,
    natsServers: wanted.includes('nats') ? 3 : 1,
    print: options.print,
  })
}

export async function voiceChaos(options: VoiceChaos): Promise<readonly string[]> {
  const { faults, rounds, untilMs = Number.POSITIVE_INFINITY, seed, print } = options
  const random = seeded(seed)
  const nats = await NatsCluster.start(options.natsServers)
  let fleet: VoiceFleet | undefined
  try {
    fleet = await VoiceFleet.start(nats, options)
    print(`${options.users} users in ${options.rooms} rooms over ${options.instances} instances`)
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
    await fleet?.stop()
    await nats.stop()
  }
}

async function play(
  fault: Fault,
  fleet: VoiceFleet,
  nats: NatsCluster,
  random: () => number,
  { stoppedMs = STOPPED_MS, publishMs = PUBLISH_MS }: VoiceChaos,
): Promise<string[]> {
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
      const differences = await settled(fleet, publishMs)
      await fleet.startInstance(index)
      return differences
    }
    case 'stop': {
      instance.signal('SIGSTOP')
      for (const user of lost) user.silence()
      fleet.expectEvicted(lost)
      const since = performance.now()
      const differences = await settled(fleet, publishMs)
      await sleep(Math.max(0, stoppedMs - (performance.now() - since)))
      instance.signal('SIGCONT')
      await sleep(AFTERMATH_MS)
      for (const user of lost) user.die()
      return differences.length > 0 ? differences : fleet.differences()
    }
    case 'nats': {
      const server = Math.floor(random() * nats.size)
      await nats.halt(server, 'SIGKILL')
      await sleep(AFTERMATH_MS)
      nats.resume(server)
      await sleep(AFTERMATH_MS)
      return settled(fleet, publishMs)
    }
    default:
      return fault satisfies never
  }
}

/** Waits until the model holds, or the time for it is over; answers what does not hold then. */
async function settled(fleet: VoiceFleet, publishMs: number): Promise<string[]> {
  const deadline = performance.now() + SETTLED_WITHIN_MS
  let publishing = true
  for (;;) {
    // New notices are no part of what has to be over by then.
    if (publishing && performance.now() > deadline - SETTLED_WITHIN_MS + publishMs) {
      fleet.stopPublishing()
      publishing = false
    }
    const differences = await fleet.differences().catch((error: Error) => [error.message])
    if (differences.length === 0 && !publishing) return []
    if (performance.now() > deadline) return differences
    await sleep(250)
  }
}
