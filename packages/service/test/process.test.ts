import { type ChildProcess, execFileSync, type StdioOptions, spawn, spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

const TIMEOUT_MS = 20_000

let folder: string
let processes: ChildProcess[]
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'carillon-process-'))
  processes = []
})
afterEach(async () => {
  for (const each of processes) each.kill('SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

/** A deployable in a process of its own, on an admin port that it tells, with NATS out of reach. */
async function start(
  behaviour: string,
  stdout: 'pipe' | number = 'pipe',
  env: NodeJS.ProcessEnv = {},
  wrapper: readonly string[] = [],
) {
  const stdio: StdioOptions = ['ignore', stdout, 'pipe', 'ipc']
  const script = join(import.meta.dirname, 'deployable.ts')
  const [command, ...args] = [...wrapper, process.execPath, '--conditions=source', '--import', 'tsx', script]
  const child = spawn(command as string, args, {
    stdio,
    env: {
      ...process.env,
      NODE_OPTIONS: '',
      NATS_URL: 'nats://127.0.0.1:1',
      BEHAVIOUR: behaviour,
      DRAIN_SECONDS: '0',
      DRAIN_DELAY_SECONDS: '0',
      PIPE: join(folder, 'pipe'),
      ...env,
    },
  })
  processes.push(child)
  const errors = collect(child.stderr)
  let adminPort = 0
  child.on('message', (message: { adminPort?: number }) => {
    adminPort = message.adminPort ?? adminPort
  })
  const ended = () => child.exitCode !== null || child.signalCode !== null
  await eventually(() => adminPort !== 0 || ended(), TIMEOUT_MS)
  return {
    child,
    errors,
    url: `http://127.0.0.1:${adminPort}`,
    async end(signal?: NodeJS.Signals) {
      if (signal) child.kill(signal)
      await eventually(ended, TIMEOUT_MS)
      return child.exitCode ?? child.signalCode
    },
  }
}

const collect = (stream: NodeJS.ReadableStream | null) => {
  const collected = { text: '' }
  stream?.on('data', (chunk) => {
    collected.text += chunk
  })
  return collected
}
const metric = async (url: string, name: string) => {
  const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(5_000) })
  return Number(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, 'm').exec(await response.text())?.[1])
}

/** Runs a program on a terminal that nobody reads, as a detached container has one. */
const UNREAD_TERMINAL = `
import os, pty, signal, sys
master, slave = pty.openpty()
pid = os.fork()
if pid == 0:
    os.dup2(slave, 1)
    os.execvp(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`

describe('a log that cannot be written stops nothing', () => {
  const dropping = async (url: string) => {
    await eventually(async () => (await metric(url, 'carillon_log_lines_dropped_total')) > 20_000, TIMEOUT_MS)
    expect(await metric(url, 'process_resident_memory_bytes')).toBeLessThan(400_000_000)
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
  }

  test('nobody reads it: lines are dropped and counted, and said when somebody does', async () => {
    const { child, url, end } = await start('flood')
    await dropping(url)
    const output = collect(child.stdout)
    await eventually(() => output.text.includes('log lines were dropped'), TIMEOUT_MS)
    child.stdout?.pause()
    const dropped = await metric(url, 'carillon_log_lines_dropped_total')
    await eventually(
      async () => (await metric(url, 'carillon_log_lines_dropped_total')) > dropped,
      TIMEOUT_MS,
    )
    expect(await end('SIGTERM')).toBe(0)
    // What did arrive is whole lines.
    for (const line of output.text.split('\n').slice(0, 1_000)) if (line) JSON.parse(line)
  })

  test('its reader is gone', async () => {
    const { child, url, end } = await start('flood')
    child.stdout?.destroy()
    await dropping(url)
    expect(await end('SIGTERM')).toBe(0)
  })

  const full = existsSync('/dev/full') ? test : test.skip
  full(
    'the disk is full',
    async () => {
      const device = openSync('/dev/full', 'w')
      const { url, end } = await start('flood', device)
      closeSync(device)
      await dropping(url)
      expect(await end('SIGTERM')).toBe(0)
    },
    60_000,
  )

  const python = spawnSync('python3', ['-c', 'import os, pty; os.waitstatus_to_exitcode'])
  const withTerminal = python.status === 0 && process.platform === 'linux' ? test : test.skip
  withTerminal(
    'it is a terminal that nobody reads',
    async () => {
      const { url, end } = await start('flood', 'pipe', {}, ['python3', '-c', UNREAD_TERMINAL])
      await dropping(url)
      expect(await end('SIGTERM')).toBe(0)
    },
    60_000,
  )
})

describe('an error that nobody catches', () => {
  test.each([
    ['exception', 'uncaught exception', 'nobody catches this'],
    ['rejection', 'unhandled rejection', 'nobody awaits this'],
  ])(
    '%s: is logged as JSON, and the process ends with 1',
    async (behaviour, msg, message) => {
      const { child, end } = await start(behaviour)
      const [output, errors] = [collect(child.stdout), collect(child.stderr)]
      expect(await end()).toBe(1)
      await eventually(() => output.text.includes(msg))
      const lines = output.text.trim().split('\n')
      const logged = lines.map((line) => JSON.parse(line) as { level: string; msg: string; err?: object })
      expect(logged.find((line) => line.msg === msg)).toMatchObject({ level: 'fatal', err: { message } })
      expect(errors.text).toBe('')
    },
    60_000,
  )
})

describe('the end of a process', () => {
  test('a part that never stops: the process ends with 1 after the limit', async () => {
    const { child, end } = await start('stop hangs')
    const output = collect(child.stdout)
    expect(await end('SIGTERM')).toBe(1)
    await eventually(() => output.text.includes('stopping takes too long'))
  })

  test('an event loop that hangs while stopping is killed from outside of it', async () => {
    const { end } = await start('loop hangs')
    expect(await end('SIGTERM')).toBe('SIGKILL')
  })

  test('what hangs in the thread pool does not hold up the end', async () => {
    execFileSync('mkfifo', [join(folder, 'pipe')])
    const { end } = await start('thread pool hangs')
    expect(await end('SIGTERM')).toBe('SIGKILL')
  })

  test('a process ends when the parent that holds its channel does', async () => {
    const { child, end } = await start('quiet')
    child.disconnect()
    expect(await end()).toBe(0)
  })

  test('an address of another machine is one clear message, and exit code 1', async () => {
    const { errors, end } = await start('quiet', 'pipe', { ADMIN_HOST: '203.0.113.1' })
    expect(await end()).toBe(1)
    expect(errors.text).toBe(
      'fixture: 203.0.113.1 is no address of this machine; set LISTEN_HOST or ADMIN_HOST to another one\n',
    )
  })
})
