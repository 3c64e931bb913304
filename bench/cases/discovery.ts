import { Bus } from '@carillon/bus'
import { discovery as channels } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { Remote } from '../remote.ts'
import { type CaseResult, percent, thousands } from '../result.ts'
import { median, spread } from '../statistics.ts'

/** Answers a second, with ten live instances to choose from. */
export async function discovery(): Promise<CaseResult> {
  const nats = await NatsServer.start()
  const bus = new Bus({ url: nats.url, name: 'bench' })
  bus.start()
  const server = new Remote('servers/discovery.ts', { core: 0, env: { NATS_URL: nats.url } })
  const load = new Remote('load/http-clients.ts', { core: 1 })
  const rates: number[] = []
  try {
    await eventually(async () => bus.connected && (await server.call<boolean>('ready')))
    const { port } = await server.call<{ port: number }>('ports')
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 10; i++) announce(bus, `i${i}`)
      const path = '/iapi/websocket/end_point?service=auction&code=app&ver=1.0'
      const answer = await load.call<{ perSecond: number; sample: string }>('ask', {
        port,
        path,
        connections: 50,
        seconds: 2,
      })
      if (!answer.sample.includes('"error_code":0')) throw new Error(answer.sample)
      rates.push(answer.perSecond)
    }
  } finally {
    await Promise.all([server.stop(), load.stop(), bus.stop()])
    await nats.stop()
  }
  return {
    title: 'endpoint-discovery',
    how: '50 keep-alive connections, one request under way on each; 5 rounds of 2 s.',
    rows: [
      {
        what: 'requests',
        measured: `${thousands(median(rates))}/s (${percent(spread(rates))})`,
        reach: '≥ 15,000/s',
        reached: median(rates) >= 15_000,
      },
    ],
  }
}

function announce(bus: Bus, instanceId: string): void {
  const service = 'auction-push'
  bus.publish(
    channels.announce,
    { service, instanceId },
    {
      service,
      instance_id: instanceId,
      end_point: `ws://127.0.0.1/${instanceId}`,
      region: 'default',
      connections: 0,
      capacity: 1_000_000_000,
      draining: false,
      version: '1',
      started_at: 0,
    },
  )
}
