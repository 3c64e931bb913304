import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as messages from '@carillon/im-messages'
import { eventually, ManualClock, NatsServer, testEnvironment } from '@carillon/testkit'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { bootAuction, connectAuction, readMetrics } from '../../apps/auction-push/test/auction.ts'
import {
  bootCampus,
  connectInternal,
  registerDevice,
  TestDevice,
} from '../../apps/campus-socketio/test/campus.ts'
import * as imGateway from '../../apps/im-gateway/src/server.ts'
import { ImClient } from '../../apps/im-gateway/test/im-client.ts'
import { bootQuote, connectQuote } from '../../apps/quote-interact/test/quote.ts'
import { bootVoice, VoiceClient } from '../../apps/voice-room-ws/test/voice.ts'

const RESTART_CODE = 1012

let nats: NatsServer
const ends: (() => unknown)[] = []
beforeAll(async () => {
  nats = await NatsServer.start()
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})
afterAll(() => nats?.stop())

interface Gateway {
  readonly service: { readonly adminPort: number; stop(): Promise<void> }
  /** Connects; answers the code that the connection is closed with. */
  readonly connect: () => Promise<() => Promise<number>>
}

const gateways: Readonly<Record<string, () => Promise<Gateway>>> = {
  async auction() {
    const service = await bootAuction(nats, { AUCTION_MAX_CONNECTION_AGE_S: '1' })
    return { service, connect: async () => codeOf(await connectAuction(service)) }
  },
  async quote() {
    const service = await bootQuote(nats, { QUOTE_MAX_CONNECTION_AGE_S: '1' })
    return { service, connect: async () => codeOf(await connectQuote(service)) }
  },
  async voice() {
    const service = await bootVoice(nats, { VOICE_MAX_CONNECTION_AGE_S: '1' })
    return { service, connect: async () => codeOf((await VoiceClient.connect(service, '7')).socket) }
  },
  async im() {
    const folder = await mkdtemp(join(tmpdir(), 'carillon-rotation-'))
    ends.push(() => rm(folder, { recursive: true, force: true }))
    const store = messages.create(
      messages.readConfig({ ...testEnvironment('IM_MESSAGES', nats), CARILLON_HOME: folder }),
    )
    ends.push(() => store.stop())
    await store.start()
    const environment = { ...testEnvironment('IM', nats), IM_MAX_CONNECTION_AGE_S: '1' }
    const service = imGateway.create(imGateway.readConfig(environment))
    await service.start()
    return {
      service,
      async connect() {
        const client = await ImClient.connect(service.listener.port, 'ann')
        return async () => (await eventually(() => client.closed ?? false)).code
      },
    }
  },
  async campus() {
    const service = await bootCampus(nats, { CAMPUS_MAX_CONNECTION_AGE_S: '1' })
    const internal = await connectInternal(nats)
    ends.push(() => internal.stop())
    await registerDevice(internal, 'AC1')
    return {
      service,
      async connect() {
        const device = new TestDevice(`http://127.0.0.1:${service.transport.port}`, 'AC1')
        ends.push(() => device.close())
        await device.says('auth:ok')
        return async () => {
          const said = (await device.says('connection:close')) as { readonly code: number }
          await eventually(() => device.disconnects.length > 0)
          return said.code
        }
      },
    }
  },
}

const codeOf = (client: { end(): Promise<{ readonly code: number }> }) => async () =>
  (await client.end()).code

test.each(Object.keys(gateways))(
  '%s: a connection of the greatest age is sent away, and may come back',
  async (name) => {
    const { service, connect } = await (gateways[name] as () => Promise<Gateway>)()
    ends.push(() => service.stop())
    for (let i = 0; i < 2; i++) expect(await (await connect())()).toBe(RESTART_CODE)
    expect(await readMetrics(service)).toMatch(/carillon_connections_rotated_total\{[^}]*\} 2/)
  },
)

test('connections that were opened together are closed over the last ten minutes of 55, not in one instant', async () => {
  const clock = new ManualClock()
  const environment = { AUCTION_MAX_CONNECTION_AGE_S: '3300', AUCTION_IDLE_TIMEOUT_MS: '86400000' }
  const service = await bootAuction(nats, environment, { clock })
  ends.push(() => service.stop())
  const clients = await Promise.all(Array.from({ length: 60 }, (_, i) => connectAuction(service, i + 1)))
  ends.push(() => {
    for (const client of clients) client.close()
  })
  const rotated = async () =>
    Number(/carillon_connections_rotated_total\{[^}]*\} (\d+)/.exec(await readMetrics(service))?.[1])
  const pass = (minutes: number) => {
    for (let second = 0; second < minutes * 60; second++) {
      clock.move(1_000)
      service.wheel.advance()
    }
  }
  pass(44.9)
  expect(await rotated()).toBe(0)
  pass(0.1)
  let before = 0
  const byMinute: number[] = []
  for (let minute = 45; minute < 56; minute++) {
    pass(1)
    const now = await rotated()
    byMinute.push(now - before)
    before = now
  }
  expect(before).toBe(60)
  // Of 60 in ten minutes, 30 in one would be chance once in many lifetimes.
  expect(Math.max(...byMinute)).toBeLessThan(30)
  for (const client of clients) expect(await client.end()).toMatchObject({ code: RESTART_CODE })
})
