import { createServer } from 'node:net'
import { eventually, WebSocketClient } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { ScriptFolder } from './script-run.ts'

let folder: ScriptFolder
beforeEach(async () => {
  folder = await ScriptFolder.create()
})
afterEach(() => folder.remove())

describe('npm start', () => {
  test('runs the fleet: the printed examples work, discovery knows the endpoint, Ctrl-C stops all of it', async () => {
    const fleet = folder.start()
    await fleet.ready()

    const url = /connect\s+(ws:\S+\/ws\/\S+)/.exec(fleet.output)?.[1] as string
    const client = await WebSocketClient.connect(url)
    client.send('{"key": "auction_subscribe", "data": {"event": "bid", "auctionId": "3607", "single": true}}')
    expect(await client.next()).toBe('success')
    const example = /npm run carillon -- publish (auction\.bid) (3607) '(.*)'/
      .exec(fleet.output)
      ?.slice(1) as string[]
    expect(await folder.carillon('publish', ...example)).toMatchObject({
      exitCode: 0,
      output: 'published to auction.3607.bid, stored in AUCTION as 1\n',
    })
    expect(await client.nextJson()).toMatchObject({ event: 'bid', data: { auctionId: 3607 } })

    const discovery = `http://127.0.0.1:${folder.port('DISCOVERY_LISTEN_PORT')}/iapi/websocket/end_point?service=auction`
    const answer = await eventually(async () => {
      const body = (await (await fetch(discovery)).json()) as { error_code: number; end_point: string }
      return body.error_code === 0 && body
    })
    expect(url.startsWith(`${answer.end_point}/ws/`)).toBe(true)
    const state = await folder.carillon('state')
    expect(state.output).toMatch(/auction-push.*1 of \d+.*live/)

    expect(await fleet.stop()).toBe(0)
    await eventually(() => client.closed !== undefined)
    expect(client.closed?.code).toBe(1012)
    await expect(fetch(discovery)).rejects.toThrow()
  }, 300_000)

  test('a taken port is an error that names service, port and variable', async () => {
    const blocker = createServer()
    const port = folder.port('AUCTION_LISTEN_PORT')
    await new Promise<void>((done) => blocker.listen(port, '0.0.0.0', done))
    const fleet = folder.start('--only', 'auction-push')
    expect(await fleet.ended()).toBe(1)
    expect(fleet.output).toContain(
      `auction-push: port ${port} is taken; set AUCTION_LISTEN_PORT to another one`,
    )
    expect(fleet.output).not.toContain('carillon ready')
    await new Promise((done) => blocker.close(done))
  })

  test('an unknown service is a usage error', async () => {
    const fleet = folder.start('--only', 'nonsense')
    expect(await fleet.ended()).toBe(2)
    expect(fleet.output).toContain('services: endpoint-discovery, auction-push')
  })
})
