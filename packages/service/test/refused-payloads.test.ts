import { auction } from '@carillon/events'
import { eventually, NatsServer, publishRaw } from '@carillon/testkit'
import { expect, test } from '@jest/globals'
import { Type } from 'typebox'
import { commonConfig, commonVariables, readEnvironment, Service } from '../src/index.ts'

test('a flood of bad payloads is counted in full and logged at a bounded rate', async () => {
  const nats = await NatsServer.start()
  const lines: string[] = []
  const values = readEnvironment(Type.Object(commonVariables), { NATS_URL: nats.url })
  const service = new Service({
    name: 'fixture',
    config: commonConfig(values, 0, 'ADMIN_PORT'),
    overrides: { logDestination: { write: (line) => void lines.push(line) } },
  })
  try {
    service.bus.subscribe(auction.bid, {}, () => {})
    await service.start()
    await eventually(() => service.bus.connected)
    const count = 5_000
    const payload = Buffer.from('eyJ'.repeat(1_000))
    const subject = auction.bid.subject({ auctionId: '1' })
    await publishRaw(nats.port, subject, payload, count)
    const refused = await eventually(async () => {
      const text = await (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text()
      return (
        text.includes(`carillon_rejected_payloads_total{domain="auction",service="fixture"} ${count}`) && text
      )
    })
    const logged = lines.filter((line) => line.includes('a payload was refused')).length
    expect(logged).toBeGreaterThanOrEqual(20)
    expect(logged).toBeLessThan(200)
    expect(refused).toContain(`carillon_log_lines_suppressed_total{service="fixture"} ${count - logged}`)
  } finally {
    await service.stop()
    await nats.stop()
  }
})
