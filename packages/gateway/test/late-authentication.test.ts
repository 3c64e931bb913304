import { textFrame } from '@carillon/codec'
import { TimingWheel } from '@carillon/service'
import { eventually, ManualClock, UpgradeRefused, WebSocketClient } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import type { LateResult, Listener } from '../src/index.ts'
import { testGateway, testListener, waysToWrite } from './gateway.ts'

describe.each(waysToWrite)('late authentication, written %s', (_name, directWriter) => {
  let clock: ManualClock
  let wheel: TimingWheel
  let listener: Listener
  let pending: ((result: LateResult) => void)[]
  beforeEach(async () => {
    clock = new ManualClock()
    wheel = new TimingWheel(clock)
    wheel.start()
    pending = []
    const gateway = testGateway(wheel, { unauthenticatedMax: 3, connectionsPerUserMax: 1 }, { clock })
    const options = { idleTimeoutMs: () => 60_000, pingIntervalMs: 20_000 }
    listener = testListener(gateway, { ...options, ...(directWriter && { directWriter }) })
    listener.acceptThenAuthenticate(
      ['/'],
      {
        authenticate: () => new Promise<LateResult>((resolve) => pending.push(resolve)),
        timedOut: { code: 4000, reason: 'too late' },
        tooMany: { code: 4001, reason: 'too many' },
      },
      (connection) => ({
        text: (frame) => connection.send(textFrame(frame)),
        closed() {},
      }),
    )
    await listener.start()
  })
  afterEach(async () => {
    await listener.stop()
    wheel.stop()
  })

  const connect = () => WebSocketClient.connect(`ws://127.0.0.1:${listener.port}/`)
  const good: LateResult = { ok: true, identity: { userId: 'u' } }
  const settle = async (result: LateResult) => (await eventually(() => pending.shift() ?? false))(result)

  test('what a client sends before it has authenticated is read afterwards, and not before', async () => {
    const client = await connect()
    for (let i = 0; i < 10; i++) client.send(String(i))
    await eventually(() => pending.length === 1)
    expect(listener.connections.ofUser('u').size).toBe(0)
    await settle(good)
    await eventually(() => client.frames.length === 10)
    expect(client.frames).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
    expect(listener.connections.ofUser('u').size).toBe(1)
    client.close()
    await eventually(() => listener.connections.size === 0)
    expect(listener.connections.ofUser('u').size).toBe(0)
  })

  test('a refusal is a close code with a reason, also after frames were sent', async () => {
    const client = await connect()
    client.send('x'.repeat(1_000))
    await settle({ ok: false, failure: 'expired', close: { code: 3000, reason: 'token expired' } })
    expect(await client.end()).toEqual({ code: 3000, reason: 'token expired' })
    expect(client.frames).toEqual([])
    await eventually(() => listener.connections.size === 0)
  })

  test('too slow, and too many of one user', async () => {
    const slow = await connect()
    await eventually(() => pending.length === 1)
    clock.move(10_200)
    expect(await slow.end()).toEqual({ code: 4000, reason: 'too late' })
    // The answer comes after all: nobody is let in.
    await settle(good)
    const first = await connect()
    await settle(good)
    await eventually(() => listener.connections.ofUser('u').size === 1)
    const second = await connect()
    await settle(good)
    expect(await second.end()).toEqual({ code: 4001, reason: 'too many' })
    first.close()
  })

  test('connections that have not authenticated are bounded', async () => {
    const clients = await Promise.all([connect(), connect(), connect()])
    await eventually(() => pending.length === 3)
    await expect(connect()).rejects.toMatchObject(new UpgradeRefused({ statusCode: 503 } as never))
    await settle({ ok: false, failure: 'x', close: { code: 3000, reason: '' } })
    await eventually(() => clients.some(({ closed }) => closed))
    clients.push(await connect())
    for (const client of clients) client.close()
  })

  test('a silent client is sent pings, and closed when it does not answer them', async () => {
    const client = await connect()
    await settle(good)
    await eventually(() => listener.connections.ofUser('u').size === 1)
    const [connection] = listener.connections
    const bytesIn = () => connection?.report().bytes_in ?? 0
    const openedWith = bytesIn()
    let pings = 0
    client.socket.on('ping', () => {
      pings += 1
    })
    for (let i = 1; i <= 5; i++) {
      clock.move(20_200)
      await eventually(() => pings === i)
      // Its pong counts: it must have been read before time goes on.
      await eventually(() => bytesIn() === openedWith + 6 * i)
    }
    expect(client.closed).toBeUndefined()
    client.socket.pause()
    clock.move(60_200)
    await eventually(() => connection?.isOpen === false)
    client.close()
  })
})
