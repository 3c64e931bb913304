import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CaseResult, thousands } from '../result.ts'
import { median, spread } from '../statistics.ts'
import { usOfAnEvent } from './followers.ts'
import { openAuctions, Stack } from './stack.ts'

const SUBJECTS = 1_000
const PER_SECOND = 5_000
const ROUNDS = 3

const traceparent = (sampled: boolean) => () => ({
  traceparent: `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-0${Number(sampled)}`,
})

/** What an event from NATS to one socket costs without a collector, and with one. */
export async function tracing(): Promise<CaseResult> {
  const collector = createServer((request, response) => {
    request.resume().on('end', () => response.end())
  })
  await new Promise<void>((listening) => collector.listen(0, '127.0.0.1', listening))
  const { port } = collector.address() as AddressInfo
  const traced = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` }
  const contestants = [
    { what: 'no collector is configured', env: {}, headers: () => ({}) },
    { what: 'a collector, and messages of no trace', env: traced, headers: () => ({}) },
    {
      what: 'a collector, and messages of traces that are not sampled',
      env: traced,
      headers: traceparent(false),
    },
    { what: 'a collector, and every message sampled', env: traced, headers: traceparent(true) },
  ].map((each) => ({ ...each, eventUs: [] as number[] }))
  const stacks: Stack[] = []
  try {
    for (const { env } of contestants) {
      const stack = await Stack.start('servers/auction.ts', env)
      stacks.push(stack)
      await openAuctions(stack, SUBJECTS, (i) => [1_000 + i])
    }
    for (let round = 0; round <= ROUNDS; round++)
      for (const [i, { headers, eventUs }] of contestants.entries()) {
        const us = await usOfAnEvent(stacks[i] as Stack, SUBJECTS, PER_SECOND, headers)
        if (round > 0) eventUs.push(us)
      }
  } finally {
    await Promise.all(stacks.map((stack) => stack.stop()))
    collector.closeAllConnections()
    collector.close()
  }
  return {
    title: 'Tracing',
    how: `The real auction-push, ${thousands(SUBJECTS)} subjects with one follower each, ${thousands(PER_SECOND)} events/s; ${ROUNDS} interleaved rounds after one for warm-up, medians.`,
    rows: contestants.map(({ what, eventUs }) => ({
      what,
      measured: `${median(eventUs).toFixed(1)} µs CPU an event (±${(spread(eventUs) * 100).toFixed(0)} %)`,
    })),
  }
}
