import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { eventually, NatsServer } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { canListProcesses, freePorts, ScriptFolder, ScriptRun } from './script-run.ts'

let folder: ScriptFolder
beforeEach(async () => {
  folder = await ScriptFolder.create()
})
afterEach(() => folder.remove())

/** Everything is seen to run, and then to be gone. */
const whereListed = canListProcesses ? test : test.skip
const running = (pattern: RegExp) => [...folder.processes()].find(([, command]) => pattern.test(command))?.[0]
const everythingRuns = () => {
  for (const pattern of [/start\.mjs/, /supervisor\.js/, /nats-server/, /auction-push/]) {
    expect(running(pattern)).toBeDefined()
  }
}
const everythingIsGone = () => eventually(() => folder.processes().size === 0, 30_000)

describe('however npm start ends, everything ends', () => {
  whereListed(
    'SIGKILL of the starter, and it starts again at once',
    async () => {
      const fleet = folder.start('--only', 'auction-push')
      await fleet.ready()
      everythingRuns()
      expect(await fleet.stop('SIGKILL')).toBe('SIGKILL')
      const second = folder.start('--only', 'auction-push')
      await second.ready()
      everythingRuns()
      await second.stop('SIGKILL')
      await everythingIsGone()
    },
    300_000,
  )

  whereListed(
    'SIGKILL of the supervisor',
    async () => {
      const fleet = folder.start('--only', 'auction-push')
      await fleet.ready()
      process.kill(running(/supervisor\.js/) as number, 'SIGKILL')
      expect(await fleet.ended()).toBe(1)
      await everythingIsGone()
      expect(fleet.output).toContain('the supervisor ended')
    },
    300_000,
  )

  whereListed(
    'SIGKILL of NATS, which is said',
    async () => {
      const fleet = folder.start('--only', 'auction-push')
      await fleet.ready()
      process.kill(running(/nats-server/) as number, 'SIGKILL')
      expect(await fleet.ended()).toBe(1)
      await everythingIsGone()
      expect(fleet.output).toContain('nats-server ended with SIGKILL')
    },
    300_000,
  )

  describe.each(['SIGTERM', 'SIGINT', 'SIGKILL'] as const)('%s', (signal) => {
    whereListed(
      'to npm alone',
      async () => {
        const npm = folder.spawn('npm', ['start', '--', '--only', 'auction-push'])
        await npm.ready()
        everythingRuns()
        process.kill(npm.pid, signal)
        await everythingIsGone()
      },
      300_000,
    )
  })

  whereListed(
    'SIGKILL of npm alone while the build is looked at',
    async () => {
      const npm = folder.spawn('npm', ['start', '--', '--only', 'auction-push'])
      await eventually(() => running(/turbo/) !== undefined, 30_000)
      process.kill(npm.pid, 'SIGKILL')
      await everythingIsGone()
    },
    300_000,
  )

  whereListed(
    'a signal while NATS is still starting',
    async () => {
      const fleet = folder.start('--only', 'auction-push')
      await eventually(() => running(/nats-server/) !== undefined, 30_000)
      expect(await fleet.stop('SIGTERM')).toBe(0)
      await everythingIsGone()
      expect(fleet.output).not.toContain('carillon ready')
    },
    300_000,
  )
})

describe('what others left', () => {
  test('a second fleet on the same state folder is refused', async () => {
    const fleet = folder.start('--only', 'auction-push')
    await fleet.ready()
    const second = folder.run('start.mjs', ['--only', 'auction-push'], { AUCTION_LISTEN_PORT: '0' })
    expect(await second.ended()).toBe(1)
    expect(second.output).toContain(`a fleet runs from ${folder.home} already (process ${fleet.pid})`)
    expect(await fleet.stop()).toBe(0)
  }, 300_000)

  test('a nats-server that stays on the JetStream folder is refused', async () => {
    const [port] = await freePorts(1)
    const pidFile = join(folder.home, 'nats.pid')
    const args = [
      '-a',
      '127.0.0.1',
      '-p',
      String(port),
      '-js',
      '-sd',
      join(folder.home, 'nats'),
      '-P',
      pidFile,
    ]
    const orphan = new ScriptRun(process.env.NATS_SERVER ?? 'nats-server', args, process.env)
    try {
      await eventually(() => orphan.output.includes('Server is ready'), 10_000)
      const fleet = folder.start('--only', 'auction-push')
      expect(await fleet.ended()).toBe(1)
      expect(fleet.output).toContain(`nats-server (process ${orphan.pid}) uses ${join(folder.home, 'nats')}`)
      expect(fleet.output).not.toContain('carillon ready')
    } finally {
      await orphan.stop('SIGKILL')
    }
    // The process id that it left behind is nobody's now, or somebody else's.
    const fleet = folder.start('--only', 'auction-push')
    await fleet.ready()
    writeFileSync(pidFile, String(process.pid))
    expect(await fleet.stop()).toBe(0)
    const again = folder.start('--only', 'auction-push')
    await again.ready()
    expect(await again.stop()).toBe(0)
  }, 300_000)

  test('somebody else who says ready on our admin port does not make us ready', async () => {
    const stranger = createServer((_request, response) => response.end('{"status":"ready"}'))
    await new Promise<void>((done) => stranger.listen(folder.port('AUCTION_ADMIN_PORT'), '127.0.0.1', done))
    const fleet = folder.start('--only', 'auction-push')
    expect(await fleet.ended()).toBe(1)
    expect(fleet.output).toContain('set AUCTION_ADMIN_PORT to another one')
    expect(fleet.output).not.toContain('carillon ready')
    await new Promise((done) => stranger.close(done))
  }, 300_000)
})

describe('addresses and ports', () => {
  test('everything listens on this machine alone, and the examples name the ports in use', async () => {
    const fleet = folder.start()
    await fleet.ready()
    for (const variable of ['DISCOVERY_LISTEN_PORT', 'AUCTION_LISTEN_PORT', 'AUCTION_ADMIN_PORT']) {
      expect(fleet.output).toContain(`://127.0.0.1:${folder.port(variable)}`)
    }
    for (const port of ['8080', '12029', '8083']) expect(fleet.output).not.toContain(`:${port}`)
    const ask = /curl '(\S+)'/.exec(fleet.output)?.[1] as string
    expect(await (await fetch(ask)).json()).toMatchObject({ error_code: 0 })
    // A command in another terminal, without the variables, finds the fleet.
    const { AUCTION_LISTEN_PORT: _, ...env } = folder.env
    const client = spawn(process.execPath, ['scripts/carillon.mjs', 'connect', 'auction'], { env })
    let output = ''
    client.stderr.on('data', (chunk) => {
      output += chunk
    })
    await eventually(() =>
      output.includes(`connected to ws://127.0.0.1:${folder.port('AUCTION_LISTEN_PORT')}`),
    )
    client.kill('SIGKILL')
    if (canListProcesses) {
      const addresses = listening([...folder.processes().keys()])
      expect(addresses.size).toBeGreaterThanOrEqual(7)
      expect([...addresses].filter((address) => !address.startsWith('0100007F:'))).toEqual([])
    }
    expect(await fleet.stop()).toBe(0)
  }, 300_000)

  test('a port that is 0 becomes a free one, which is printed; NATS may be one that runs already', async () => {
    const nats = await NatsServer.start()
    try {
      const env = { AUCTION_LISTEN_PORT: '0', NATS_URL: nats.url }
      const fleet = folder.run('start.mjs', ['--only', 'auction-push'], env)
      await fleet.ready()
      expect(fleet.output).toMatch(/auction-push\s+│ ws:\/\/127\.0\.0\.1:[1-9]\d+/)
      expect(fleet.output).toContain(`NATS: ${nats.url}`)
      expect(await fleet.stop()).toBe(0)
      expect(nats.running).toBe(true)
    } finally {
      await nats.stop()
    }
  }, 300_000)
})

/** Local addresses that these processes listen on, as the kernel prints them. */
function listening(pids: readonly number[]): Set<string> {
  const inodes = new Set(pids.flatMap(socketsOf))
  const lines = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap(linesOf)
  const fields = lines.map((line) => line.trim().split(/\s+/))
  const ours = fields.filter(([, , , state, , , , , , inode]) => state === '0A' && inodes.has(inode ?? ''))
  return new Set(ours.map(([, address]) => address as string))
}

function linesOf(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(1) : []
}

function socketsOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []
    } catch {
      return []
    }
  })
}
