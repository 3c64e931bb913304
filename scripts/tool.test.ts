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
  }, 30_000)
})
