import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chownSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { eventually } from './eventually.ts'
import { freePorts } from './free-ports.ts'

const DEBIAN_FOLDER = '/usr/lib/postgresql'

/** Where PostgreSQL's programs are: POSTGRES_BIN, PATH, or Debian's newest package. Undefined: not on this machine. */
export function postgresBin(): string | undefined {
  const packaged = existsSync(DEBIAN_FOLDER)
    ? readdirSync(DEBIAN_FOLDER)
        .sort((a, b) => Number(b) - Number(a))
        .map((version) => join(DEBIAN_FOLDER, version, 'bin'))
    : []
  const folders = [process.env.POSTGRES_BIN, ...(process.env.PATH ?? '').split(delimiter), ...packaged]
  return folders.find(
    (folder) => folder && existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')),
  )
}

/** PostgreSQL refuses to run as root: under it, the package's own user is taken, or the one with no rights. */
function unprivileged(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {}
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  const user = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody')
  return user === undefined ? {} : { uid: Number(user[2]), gid: Number(user[3]) }
}

export interface PostgresOptions {
  /** Server settings, such as `{ fsync: 'on' }`. Off by default: a test loses no power. */
  readonly settings?: Readonly<Record<string, string>>
}

/** A real PostgreSQL on a free port, with a cluster of its own in a temporary folder. */
export class PostgresServer {
  readonly #bin: string
  readonly #folder: string
  readonly #options: PostgresOptions
  #process: ChildProcess | undefined
  #port = 0

  private constructor(bin: string, folder: string, options: PostgresOptions) {
    this.#bin = bin
    this.#folder = folder
    this.#options = options
  }

  /** @throws where PostgreSQL is not on this machine: ask {@link postgresBin} first. */
  static async start(options: PostgresOptions = {}): Promise<PostgresServer> {
    const bin = postgresBin()
    if (bin === undefined) throw new Error('PostgreSQL is not on this machine')
    const folder = await mkdtemp(join(tmpdir(), 'carillon-postgres-'))
    const user = unprivileged()
    if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid)
    const made = spawnSync(
      join(bin, 'initdb'),
      ['-D', join(folder, 'data'), '-U', 'carillon', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
      { ...user, cwd: folder, encoding: 'utf8' },
    )
    if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`)
    const server = new PostgresServer(bin, folder, options)
    await server.resume()
    return server
  }

  get url(): string {
    return `postgres://carillon@127.0.0.1:${this.#port}/postgres`
  }

  get running(): boolean {
    return this.#process !== undefined
  }

  /** Stops the server; SIGKILL is a crash. Its state and its port are kept for {@link resume}. */
  async halt(signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await gone
  }

  /** Starts the server, on the same port as before, and waits until it takes connections. */
  async resume(): Promise<void> {
    if (this.#port === 0) this.#port = (await freePorts(1))[0] as number
    // After a crash the old backends may need a moment to notice, and the new server does not start before.
    await eventually(async () => {
      const child = this.#spawn()
      const failed = new Promise<false>((resolve) => child.once('exit', () => resolve(false)))
      const ready = eventually(async () => {
        if (child.exitCode !== null) throw new Error('PostgreSQL did not start')
        const pidFile = await readFile(join(this.#folder, 'data', 'postmaster.pid'), 'utf8')
        const [pid] = pidFile.split('\n')
        return Number(pid) === child.pid && /^ready\s*$/m.test(pidFile)
      }, 30_000)
      ready.catch(() => {})
      if (!(await Promise.race([ready, failed]))) return false
      this.#process = child
      return true
    }, 60_000)
  }

  /** Stops all its processes in their tracks, as a machine does that no longer answers, until {@link thaw}. */
  freeze(): void {
    this.#signalAll('SIGSTOP')
  }

  thaw(): void {
    this.#signalAll('SIGCONT')
  }

  #signalAll(signal: NodeJS.Signals): void {
    const pid = this.#process?.pid
    if (pid === undefined) throw new Error('PostgreSQL is not running')
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
    for (const each of [pid, ...children.map(Number)]) {
      try {
        process.kill(each, signal)
      } catch {
        // Ended meanwhile.
      }
    }
  }

  async stop(): Promise<void> {
    await this.halt()
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }

  #spawn(): ChildProcess {
    const settings = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      fsync: 'off',
      ...this.#options.settings,
    }
    return spawn(
      join(this.#bin, 'postgres'),
      [
        ...['-D', join(this.#folder, 'data'), '-p', String(this.#port)],
        ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      { ...unprivileged(), cwd: this.#folder, stdio: 'ignore' },
    )
  }
}
