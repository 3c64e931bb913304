import { closeTimes } from '@carillon/gateway'
import { withoutJitter } from './back-off.ts'
import { Fleet, type FleetSize } from './fleet.ts'

/** The fleets of docs/scaling.md. */
export const sizes = {
  '1 million': { clients: 1_000_000, instances: 50, capacity: 50_000, weight: 10, discoveries: 3 },
  '10 million': { clients: 10_000_000, instances: 500, capacity: 50_000, weight: 50, discoveries: 6 },
  '100 million': { clients: 100_000_000, instances: 1_000, capacity: 200_000, weight: 500, discoveries: 30 },
} as const satisfies Record<string, FleetSize>

const SEED = 20_261_125
const LIMIT_MS = 600_000
const DRAIN_DELAY_MS = 5_000
const DRAIN_MS = 25_000

export interface Outcome {
  readonly what: string
  /** Clients that had to find an instance, in real clients, as are all numbers. */
  readonly moved: number
  readonly connectsPeak: number
  readonly answersPeak: number
  readonly failures: number
  /** Until 99 in 100 of those who moved were connected, and until all were, in seconds. */
  readonly most: number
  readonly all: number | undefined
  /** The fullest instance against the mean of those that live and take clients. */
  readonly imbalance: number
}

type Event = (fleet: Fleet) => void

/** Each on a fleet of its own that has had its clients for long. */
const events: Readonly<Record<string, Event>> = {
  'an instance is drained': (fleet) => {
    const [gateway] = fleet.gateways
    if (gateway === undefined) return
    const times = closeTimes(gateway.connections, DRAIN_MS, fleet.random)
    fleet.drain(
      gateway,
      times.map((atMs) => DRAIN_DELAY_MS + atMs),
    )
  },
  'an instance dies': (fleet) => {
    const [gateway] = fleet.gateways
    if (gateway !== undefined) fleet.kill(gateway)
  },
  'a zone of three dies': (fleet) => fleet.killZone(0),
}

/** All scenarios of one size, in order. */
export function simulate(size: FleetSize): Outcome[] {
  const outcomes = Object.entries(events).map(([what, event]) => {
    const fleet = new Fleet(size, SEED)
    fleet.fill()
    return measure(what, fleet, event)
  })
  const rigid = new Fleet(size, SEED, withoutJitter)
  rigid.fill()
  outcomes.push(measure('a zone dies, clients without jitter', rigid, (fleet) => fleet.killZone(0)))
  const empty = new Fleet(size, SEED)
  outcomes.push(measure('everybody comes within a minute', empty, (fleet) => fleet.connectAll(60_000)))
  return outcomes
}

function measure(what: string, fleet: Fleet, event: Event): Outcome {
  event(fleet)
  fleet.run(LIMIT_MS)
  const { seconds } = fleet
  const moved = seconds.reduce((sum, { connects }) => sum + connects, 0) + fleet.disconnected
  let [sum, most] = [0, seconds.length]
  for (const [second, { connects }] of seconds.entries()) {
    sum += connects
    if (sum >= 0.99 * moved) {
      most = second + 1
      break
    }
  }
  const live = fleet.gateways
    .filter(({ alive, draining }) => alive && !draining)
    .map(({ connections }) => connections)
  const mean = live.reduce((total, connections) => total + connections, 0) / live.length
  return {
    what,
    moved,
    connectsPeak: Math.max(...seconds.map(({ connects }) => connects)),
    answersPeak: Math.max(...seconds.map(({ answers }) => answers)),
    failures: seconds.reduce((total, { failures }) => total + failures, 0),
    most,
    all: fleet.disconnected > 0 ? undefined : seconds.length,
    imbalance: Math.max(...live) / mean,
  }
}
