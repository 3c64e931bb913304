import { type CaseResult, ms, type Row, ratio, thousands } from '../result.ts'
import { median } from '../statistics.ts'
import { Contestant, carillon, floor, type Peer, throughStreams } from './contestant.ts'

const FEW = 1_000
const MANY = 15_000
const ROUNDS = 5
const EVENTS = 5

/** One topic that very many follow: what a delivery costs there, and for how long the event loop is held. */
export async function longFlush(): Promise<CaseResult> {
  const peers: readonly Peer[] = [carillon, throughStreams, ...floor]
  const contestants = peers.flatMap((peer) => [FEW, MANY].map((clients) => new Contestant(peer, clients)))
  const held = new Map<Contestant, number[]>()
  try {
    for (const each of contestants) await each.open()
    for (let round = 0; round <= ROUNDS; round++) {
      for (const each of contestants) {
        const ours = each.peer.script !== undefined
        if (ours) await each.server.call('holdStart')
        // One at a time: the next event is published when everybody has the last one.
        const events = (EVENTS * MANY) / each.clients
        await each.round({ events, burst: 1, window: 1 }, round > 0)
        if (!ours) continue
        const heldMs = await each.server.call<number>('holdStop')
        if (round > 0) held.set(each, [...(held.get(each) ?? []), heldMs])
      }
    }
  } finally {
    await Promise.all(contestants.map((each) => each.stop()))
  }
  const rows: Row[] = contestants.map((each) => {
    const longest = held.get(each)
    const hold = longest ? `, loop held for ${ms(median(longest))} at the most` : ''
    return {
      what: `${each.peer.name}, ${thousands(each.clients)} subscribers`,
      measured: `${median(each.cpuUs).toFixed(2)} µs CPU each${hold}`,
      ...(each.peer === carillon &&
        each.clients === MANY &&
        longest && { reach: 'held ≤ 40 ms', reached: median(longest) <= 40 }),
    }
  })
  const cpu = (peer: Peer, clients: number) =>
    median((contestants.find((each) => each.peer === peer && each.clients === clients) as Contestant).cpuUs)
  for (const peer of peers) {
    rows.push({
      what: `${peer.name}: CPU of a delivery at ${thousands(MANY)} / at ${thousands(FEW)}`,
      measured: ratio(cpu(peer, MANY) / cpu(peer, FEW)),
    })
  }
  return {
    title: 'One event to 15,000 subscribers',
    how: `190-byte messages, one at a time, to one topic of ${thousands(FEW)} and of ${thousands(MANY)} subscribers; ${ROUNDS} interleaved rounds of ${thousands(EVENTS * MANY)} deliveries after one for warm-up; medians. How long the loop is held is the most CPU time between two turns of a timer of one millisecond.`,
    rows,
  }
}
