import { type CaseResult, percent, type Row, ratio, thousands } from '../result.ts'
import { median, spread } from '../statistics.ts'
import {
  Contestant,
  carillon,
  floor,
  type Load,
  type Peer,
  socketIo,
  throughStreams,
  wsLoop,
  wsLoopOfBuffers,
} from './contestant.ts'

const CLIENTS = 1_000
const ROUNDS = 5

async function compare(peers: readonly Peer[], load: Load, rounds: number): Promise<Contestant[]> {
  const contestants = peers.map((peer) => new Contestant(peer, CLIENTS))
  try {
    for (const each of contestants) await each.open()
    // Interleaved: what disturbs the machine disturbs everybody.
    for (let round = 0; round <= rounds; round++) {
      for (const each of contestants) {
        const slow = load.burst > 1 && !each.peer.name.startsWith('Carillon')
        await each.round(slow ? { ...load, events: load.burst } : load, round > 0)
      }
    }
  } finally {
    await Promise.all(contestants.map((each) => each.stop()))
  }
  return contestants
}

function report(
  contestants: readonly Contestant[],
  reach: number,
): { rows: Row[]; bars: { label: string; value: number }[] } {
  const [ours] = contestants as [Contestant]
  const loop = contestants.find(({ peer }) => peer === wsLoop) as Contestant
  const gain = median(ours.rates) / median(loop.rates)
  const rows: Row[] = contestants.map(({ peer, rates, cpuUs }) => ({
    what: peer.name,
    measured: `${thousands(median(rates))} deliveries/s (${percent(spread(rates))}), ${median(cpuUs).toFixed(2)} µs CPU each`,
  }))
  rows.push({
    what: 'Carillon / ws loop',
    measured: ratio(gain),
    reach: `≥ ${reach} ×`,
    reached: gain >= reach,
  })
  return { rows, bars: contestants.map(({ peer, rates }) => ({ label: peer.name, value: median(rates) })) }
}

/** CPU of each delivery, as a ratio of rounds that ran next to each other: what slows one slows the other. */
function cpuRatio(ours: Contestant, theirs: Contestant): number {
  return median(ours.cpuUs.map((us, round) => us / (theirs.cpuUs[round] as number)))
}

/** One message at a time, each in a flush of its own: the kernel's write is nearly all of it. */
export async function fanoutSingle(): Promise<CaseResult> {
  const contestants = await compare(
    [carillon, ...floor, throughStreams, wsLoop, wsLoopOfBuffers, socketIo],
    { events: 200, burst: 1, window: 8 },
    ROUNDS * 2 - 1,
  )
  const { rows, bars } = report(contestants, 1.4)
  const [ours] = contestants as [Contestant]
  for (const peer of [...floor, throughStreams, wsLoop]) {
    const theirs = contestants.find((each) => each.peer === peer) as Contestant
    const part = cpuRatio(ours, theirs)
    const reach = peer === floor[0] ? { reach: '≤ 1.2 ×', reached: part <= 1.2 } : {}
    rows.push({ what: `CPU of a delivery, Carillon / ${peer.name}`, measured: ratio(part), ...reach })
  }
  return {
    title: 'One event to 1,000 sockets, one per flush',
    how: `${CLIENTS} raw sockets on the other core count 190-byte messages; ${ROUNDS * 2 - 1} interleaved rounds of 200 events after one for warm-up; medians. The floor is a C program, compiled where a C compiler is on PATH. Ratios of CPU are medians of the ratios of neighbouring rounds.`,
    unit: 'deliveries/s',
    rows,
    bars,
    ...(floor.length === 0 && { notes: ['No C compiler was on PATH: there is no floor to compare with.'] }),
  }
}

/** As many as fit into a tick: one write for each socket carries them all. */
export async function fanoutBurst(): Promise<CaseResult> {
  const contestants = await compare(
    [carillon, throughStreams, wsLoop, wsLoopOfBuffers, socketIo],
    { events: 20_000, burst: 200, window: 4 },
    ROUNDS,
  )
  return {
    title: 'As many events as fit to 1,000 sockets',
    how: `The same, ${ROUNDS} rounds in bursts of 200 events in one tick: 20,000 events a round, one burst for the slower peers.`,
    unit: 'deliveries/s',
    ...report(contestants, 30),
    notes: await profile(),
  }
}

async function profile(): Promise<string[]> {
  const contestant = new Contestant(carillon, CLIENTS)
  const notes: string[] = []
  try {
    await contestant.open()
    for (const [name, load] of [
      ['one per flush', { events: 1_000, burst: 1, window: 8 }],
      ['bursts of 200', { events: 40_000, burst: 200, window: 4 }],
    ] as const) {
      await contestant.server.call('profileStart')
      await contestant.round(load, false)
      const times = await contestant.server.call<{ name: string; percent: number }[]>('profileStop')
      notes.push(
        `CPU profile, ${name}: ${times.map((each) => `${each.name} ${each.percent.toFixed(1)} %`).join(' · ')}`,
      )
    }
  } finally {
    await contestant.stop()
  }
  return notes
}
