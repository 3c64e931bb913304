import { setTimeout as sleep } from 'node:timers/promises'
import { auction } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { type CaseResult, type Row, thousands } from '../result.ts'
import { median, spread } from '../statistics.ts'
import { callAtRate } from './publish-rate.ts'
import { openAuctions, Stack } from './stack.ts'

const SUBJECTS = [100, 1_000, 5_000]
const PER_SECOND = 2_000
/** Of the first round: until V8 has compiled all of it, an event costs twice as much. */
const WARM_UP_PER_SECOND = 10_000
const SECONDS = 3
const ROUNDS = 3
const CLIENTS = 20
const SUBJECTS_EACH = 1_000

/** Each subject has one follower: what an event costs from NATS to the socket, and what a subject and a subscription hold. */
export async function followers(): Promise<CaseResult> {
  const rows: Row[] = []
  const notes: string[] = []
  for (const subjects of SUBJECTS) {
    const stack = await Stack.start('servers/auction.ts')
    try {
      await openAuctions(stack, subjects, (i) => [1_000 + i])
      const eventUs: number[] = []
      for (let round = 0; round <= ROUNDS; round++) {
        if (round === 1 && subjects === 1_000) await stack.server.call('profileStart')
        const us = await usOfAnEvent(stack, subjects, round === 0 ? WARM_UP_PER_SECOND : PER_SECOND)
        if (round > 0) eventUs.push(us)
      }
      rows.push({
        what: `${thousands(subjects)} subjects with one follower each, ${thousands(PER_SECOND)} events/s`,
        measured: `${median(eventUs).toFixed(1)} µs CPU an event (±${(spread(eventUs) * 100).toFixed(0)} %)`,
        reach: '≤ 21 µs',
        reached: median(eventUs) <= 21,
      })
      if (subjects !== 1_000) continue
      const busyUs = await usOfAnEvent(stack, subjects, WARM_UP_PER_SECOND)
      rows.push({
        what: `the same, ${thousands(WARM_UP_PER_SECOND)} events/s: fewer reasons to wake up for each`,
        measured: `${busyUs.toFixed(1)} µs CPU an event`,
      })
      const profile = await stack.server.call<{ name: string; percent: number }[]>('profileStop')
      notes.push(
        `CPU profile: ${profile.map((each) => `${each.name} ${each.percent.toFixed(1)} %`).join(' · ')}`,
      )
    } finally {
      await stack.stop()
    }
  }
  rows.push(...(await idleMemory()))
  return {
    title: 'One follower for each subject',
    how: `The real auction-push; ${ROUNDS} rounds of ${SECONDS} s after one of ${thousands(WARM_UP_PER_SECOND * SECONDS)} events for warm-up, medians; what the idle process takes is not counted. Memory: ${CLIENTS} connections that subscribe to ${thousands(SUBJECTS_EACH)} auctions each, first each to its own, then all to the same; heap after a full collection.`,
    rows,
    notes,
  }
}

/** Microseconds of CPU for each event, without what the idle process takes. */
export async function usOfAnEvent(
  stack: Stack,
  subjects: number,
  perSecond: number,
  headers: () => Readonly<Record<string, string>> = () => ({}),
): Promise<number> {
  const idle = await cpuOf(stack, () => sleep(1_000))
  let sent = 0
  const busy = await cpuOf(stack, async () => {
    const before = await deliveries(stack)
    sent = await callAtRate(perSecond, SECONDS, (i) => {
      const auctionId = 1_000 + (i % subjects)
      stack.bus.publish(auction.bid, { auctionId: String(auctionId) }, bid(auctionId), { headers: headers() })
    })
    await eventually(async () => (await deliveries(stack)) === before + sent, 30_000)
  })
  return (busy - idle * SECONDS) / sent
}

/** What a followed subject adds to an idle process, and what a subscription to one that is followed already adds. */
async function idleMemory(): Promise<Row[]> {
  const grownBytes = async (auctionOf: (client: number, i: number) => number) => {
    const stack = await Stack.start('servers/auction.ts')
    try {
      // What the first connections and the first code that runs cost is no part of it.
      await openAuctions(stack, CLIENTS, (client) =>
        Array.from({ length: SUBJECTS_EACH }, (_, i) => 1_000_000 + auctionOf(client, i)),
      )
      const before = await settledHeap(stack)
      await openAuctions(stack, CLIENTS, (client) =>
        Array.from({ length: SUBJECTS_EACH }, (_, i) => 2_000_000 + auctionOf(client, i)),
      )
      return ((await settledHeap(stack)) - before) / (CLIENTS * SUBJECTS_EACH)
    } finally {
      await stack.stop()
    }
  }
  const subject = await grownBytes((client, i) => client * SUBJECTS_EACH + i)
  const subscription = await grownBytes((_, i) => i)
  return [
    { what: 'an idle followed subject with one subscription', measured: `${Math.round(subject)} B` },
    {
      what: 'an idle subscription to a subject that is followed already',
      measured: `${Math.round(subscription)} B`,
    },
  ]
}

async function settledHeap(stack: Stack): Promise<number> {
  await sleep(500)
  return (await stack.server.call<{ heapUsed: number }>('memory')).heapUsed
}

const deliveries = async (stack: Stack) =>
  (await stack.server.call<{ deliveries: number }>('counters')).deliveries

async function cpuOf(stack: Stack, work: () => Promise<unknown>): Promise<number> {
  const before = await stack.server.call<number>('cpuUs')
  await work()
  return (await stack.server.call<number>('cpuUs')) - before
}

function bid(auctionId: number) {
  return { amount: 1_320_000, avatar: '', nickName: 'x'.repeat(90), userId: 3_600, auctionId }
}
