import type { History, Instance, Snapshot, Values } from '../../src/api.ts'

const services = [
  'auction-push',
  'voice-room-ws',
  'quote-interact',
  'campus-socketio',
  'im-gateway',
  'im-messages',
  'endpoint-discovery',
]
const withoutClients = new Set(['im-messages', 'endpoint-discovery'])
const MINUTES_15_MS = 900_000

/** Figures that move as those of a real fleet do, the same at each run. */
export class FakeFleet {
  natsConnected = true
  instances: Instance[]

  constructor(count: number) {
    this.instances = Array.from({ length: count }, (_, index) => instanceOf(index))
  }

  step(at: number): Snapshot {
    const t = at / 1_000
    this.instances = this.instances.map((each, index) =>
      each.connections === undefined
        ? each
        : {
            ...each,
            connections: Math.round(9_000 + 6_000 * wave(t, 300 + index * 7) + 300 * wave(t, 11)),
            event_loop_lag_p99_ms: 2 + 3 * wave(t, 17 + index),
            queued_bytes: Math.round(40_000 * wave(t, 23 + index)),
          },
    )
    return {
      at,
      nats_connected: this.natsConnected,
      instances: this.instances,
      services: Object.fromEntries(this.#services().map((service) => [service, valuesOf(service, t)])),
    }
  }

  history(now: number): History {
    const seconds = MINUTES_15_MS / 1_000
    const at = Array.from({ length: seconds }, (_, index) => now - (seconds - index) * 1_000)
    const column = (service: string, name: string) =>
      at.map((each) => (valuesOf(service, each / 1_000) as Record<string, number>)[name] ?? null)
    const columns = (service: string) =>
      Object.fromEntries(
        Object.keys(valuesOf(service, now / 1_000)).map((name) => [name, column(service, name)]),
      )
    return { at, services: Object.fromEntries(this.#services().map((each) => [each, columns(each)])) }
  }

  #services(): string[] {
    return [...new Set(this.instances.map(({ service }) => service))]
  }
}

function instanceOf(index: number): Instance {
  const service = services[index % services.length] as string
  const region = index % 3 === 0 ? 'eu-west' : 'ap-south'
  return {
    service,
    instance_id: `${service}-${String(7_000_001 + index * 1_234_567).padStart(9, '0')}`,
    region,
    version: '0.1.0',
    started_at: Date.now() - (index + 1) * 3_700_000,
    state: index === 9 ? 'draining' : 'ready',
    silent: index === 12,
    ...(!withoutClients.has(service) && { connections: 0, capacity: 50_000 }),
    event_loop_lag_p99_ms: 1.2,
  }
}

/** From 0 to 1 and back. */
const wave = (t: number, periodS: number) => (1 + Math.sin((t / periodS) * 2 * Math.PI)) / 2

function valuesOf(service: string, t: number): Values {
  const s = services.indexOf(service) + 2
  const common = {
    event_loop_lag_p99_ms: 1 + 4 * wave(t, 31 * s) + 2 * wave(t, 3.1),
  }
  if (service === 'im-messages')
    return {
      ...common,
      commits_per_s: 180 + 60 * wave(t, 90),
      messages_per_s: 600 + 300 * wave(t, 90),
      messages_per_commit: 3.4,
      waiting: 3,
    }
  if (service === 'endpoint-discovery') return { ...common, answers_per_s: 25 }
  return {
    ...common,
    connections: Math.round(20_000 + 9_000 * wave(t, 600) + 500 * wave(t, 37)),
    capacity: 100_000,
    opened_per_s: 30 + 20 * wave(t, 45 * s),
    closed_per_s: 28 + 20 * wave(t, 50 * s),
    deliveries_per_s: 40_000 * wave(t, 210 * s) + 9_000 * wave(t, 5),
    publish_to_write_p50_ms: 0.6 + 0.4 * wave(t, 71),
    publish_to_write_p99_ms: 2 + 3 * wave(t, 71) + 3 * wave(t, 7),
    queued_bytes: Math.round(800_000 * wave(t, 100 * s)),
    slow_consumers_per_s: wave(t, 300) > 0.97 ? 2 : 0,
    refusals_per_s: wave(t, 200) > 0.8 ? 12 * wave(t, 9) : 0,
    ...(service === 'voice-room-ws' && {
      evictions_per_s: 2 * wave(t, 80),
      relays_confirmed_per_s: 90 + 20 * wave(t, 60),
      relays_redriven_per_s: 4 * wave(t, 33),
      relays_unconfirmed_per_s: 0,
    }),
    ...(service === 'im-gateway' && { pending_notices: Math.round(900 * wave(t, 400)) }),
    ...(service === 'campus-socketio' && {
      acks_per_s: 55 + 10 * wave(t, 40),
      timeouts_per_s: 0.4 * wave(t, 70),
      live_devices: 20_000,
    }),
  }
}
