import { eventually } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { ScriptFolder } from './script-run.ts'

let folder: ScriptFolder
beforeEach(async () => {
  folder = await ScriptFolder.create()
})
afterEach(() => folder.remove())

describe('the command-line tool', () => {
  test.each([
    [['token', 'nonsense', '--user', '1'], 2, "unknown command 'nonsense'"],
    [['token', 'auction', '--user', '1', '--ttl', 'x'], 2, '--ttl must be a whole number above 0, not x'],
    [['connect', 'discovery'], 2, 'auction|auction-push'],
    [['connect', 'auction', '--url', 'nonsense'], 1, 'nonsense is not reachable: '],
    [
      ['connect', 'im', '--url', 'ws://127.0.0.1:1'],
      1,
      'ws://127.0.0.1:1 is not reachable: connect ECONNREFUSED',
    ],
    [['demo', 'quotes', '--seed', '0'], 2, '--seed must be a whole number above 0, not 0'],
    [['publish', 'auction.bid', '1', '{}', '--header', 'x'], 2, 'It must be "Name: value"'],
    [['token', 'auction'], 2, "required option '--user <id>'"],
    [['publish', 'auction.nonsense', '1', '{}'], 2, 'there is no event auction.nonsense'],
    [['publish', 'auction.bid', '{}'], 2, "usage: publish auction.bid <auctionId> '<JSON>'"],
    [
      ['publish', 'auction.bid', '1', '{}'],
      1,
      'not published to auction.1.bid: payload must have required properties',
    ],
    [['setting', 'auction-push.nonsense', '1'], 2, 'auction-push.idle_timeout_ms'],
    [['nonsense'], 2, "unknown command 'nonsense'"],
    [['--help'], 0, 'publish [options] <event> [idsAndPayload...]'],
  ])(
    '%j exits with %d',
    async (args, exitCode, message) => {
      const run = await folder.carillon(...args)
      expect(run.output).toContain(message)
      expect(run.exitCode).toBe(exitCode)
    },
    30_000,
  )

  test('says where it looked for NATS', async () => {
    const run = folder.run('carillon.mjs', ['state'], { NATS_URL: 'nats://127.0.0.1:1' })
    expect(await run.ended()).toBe(1)
    expect(run.output).toContain('NATS is not reachable at nats://127.0.0.1:1')
  })

  test('talks to a fleet: a client, events, requests with answers, a demo', async () => {
    const fleet = folder.start()
    await fleet.ready()
    const client = folder.run('carillon.mjs', ['connect', 'auction', '--user', '3601'])
    await eventually(() => client.output.includes('connected to'), 20_000)
    client.type('{"key": "auction_subscribe", "data": {"event": "bid", "auctionId": "3607", "single": true}}')
    await eventually(() => client.output.includes('\nsuccess\n'))
    const bid = '{"amount":1,"nickName":"Ann","avatar":"","userId":3600,"auctionId":3607}'
    expect(await folder.carillon('publish', 'auction.bid', '3607', bid)).toMatchObject({ exitCode: 0 })
    await eventually(() => client.output.includes(`{"data":${bid},"event":"bid"}`))

    const query = ['publish', 'control.connections', 'auction-push', '{"user_id":"3601"}']
    const answer = await folder.carillon(...query)
    expect(JSON.parse(answer.output)).toMatchObject({ count: 1, connections: [{ user_id: '3601' }] })
    const nobody = await folder.carillon('publish', 'control.connections', 'nonsense', '{}')
    expect(nobody).toEqual({ exitCode: 1, output: 'nobody answers control.nonsense.connections\n' })
    const disconnect = ['publish', 'control.disconnect', 'auction-push', '{"user_id":"3601"}']
    expect(JSON.parse((await folder.carillon(...disconnect)).output)).toMatchObject({ closed: 1 })
    expect(await client.ended()).toBe(1)
    expect(client.output).toContain('closed by the server: ')

    const demo = await folder.carillon('demo', 'quotes', '--seconds', '1', '--rate', '50', '--markets', '10')
    expect(demo.output).toMatch(/^10 markets, 50 quotes a second/)
    expect(demo.output).toMatch(/\n[1-9]\d* quotes published\n$/)
    expect(await fleet.stop()).toBe(0)
  }, 300_000)

  test('ends quietly when whoever reads it stops reading', async () => {
    const piped = folder.spawn('sh', [
      '-c',
      '"$0" scripts/carillon.mjs publish --help | head -1',
      process.execPath,
    ])
    expect(await piped.ended()).toBe(0)
    expect(piped.output).toBe('Usage: carillon publish [options] <event> [idsAndPayload...]\n')
  })
})
