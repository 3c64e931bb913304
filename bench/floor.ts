import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { pin } from './remote.ts'

interface Run {
  readonly events: number
  readonly burst: number
  readonly message: string
  readonly window: number
}

/** Whether there is a C compiler to make the floor with. */
export const floorAvailable = process.platform === 'linux' && spawnSync('cc', ['--version']).status === 0

/** The C program that sends one message to many sockets, compiled here; the same calls as a {@link Remote}. */
export class Floor {
  readonly #folder = mkdtempSync(join(tmpdir(), 'carillon-bench-'))
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #ports: Promise<readonly number[]>

  constructor(options: { readonly core: number }) {
    const program = join(this.#folder, 'floor')
    const source = resolve(import.meta.dirname, 'servers/floor.c')
    const made = spawnSync('cc', ['-O2', '-o', program, source], { encoding: 'utf8' })
    if (made.status !== 0) throw new Error(`cc failed: ${made.stderr}`)
    const child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child = child
    pin(child, options.core)
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    this.#ports = this.#numbers()
  }

  async call<T>(method: string, argument?: unknown): Promise<T> {
    if (method === 'ports') {
      const [port, control] = await this.#ports
      return { port, control } as T
    }
    if (method !== 'run') throw new Error(`the floor has no ${method}`)
    const { events, burst, window, message } = argument as Run
    this.#child.stdin?.write(`${events} ${burst} ${window} ${message}\n`)
    const [start, cpuMs] = await this.#numbers()
    return { start, cpuMs } as T
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null) {
      const gone = new Promise((done) => this.#child.once('exit', done))
      this.#child.kill('SIGKILL')
      await gone
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #numbers(): Promise<readonly number[]> {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error('the floor has ended')
    return String(value).split(' ').map(Number)
  }
}
