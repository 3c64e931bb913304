import { type ChildProcess, fork, spawnSync } from 'node:child_process'
import { resolve } from 'node:path'

type Methods = Record<string, (argument: never) => unknown>

/** In a child process: answers the parent's calls. */
export function serve(methods: Methods): void {
  process.on('message', async ({ id, method, argument }: { id: number; method: string; argument: never }) => {
    try {
      const answer = methods[method]
      if (answer === undefined) throw new Error(`there is no method ${method}`)
      process.send?.({ id, result: await answer(argument) })
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? error.stack : String(error) })
    }
  })
}

const pinnable = process.platform === 'linux' && spawnSync('taskset', ['-V']).status === 0

/** Keeps a process on one core, where that can be arranged. */
export function pin(child: ChildProcess, core: number): void {
  if (!pinnable) return
  spawnSync('taskset', ['-a', '-p', '-c', String(core), String(child.pid)], { stdio: 'ignore' })
}

/** A child process of the bench, on a core of its own where that can be arranged. */
export class Remote {
  readonly #child: ChildProcess
  readonly #pending = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  #lastId = 0

  constructor(
    script: string,
    options: {
      readonly core?: number
      readonly env?: NodeJS.ProcessEnv
      readonly flags?: readonly string[]
    } = {},
  ) {
    this.#child = fork(resolve(import.meta.dirname, script), {
      env: { ...process.env, ...options.env },
      execArgv: ['--import', 'tsx', '--expose-gc', ...(options.flags ?? [])],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    if (options.core !== undefined) pin(this.#child, options.core)
    this.#child.on('message', ({ id, result, error }: { id: number; result: unknown; error?: string }) => {
      const waiting = this.#pending.get(id)
      this.#pending.delete(id)
      if (error) waiting?.reject(new Error(error))
      else waiting?.resolve(result)
    })
    this.#child.once('exit', (code) => {
      for (const { reject } of this.#pending.values()) reject(new Error(`${script} ended with ${code}`))
    })
  }

  call<T>(method: string, argument?: unknown): Promise<T> {
    const id = ++this.#lastId
    return new Promise<T>((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as (value: unknown) => void, reject })
      this.#child.send({ id, method, argument })
    })
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return
    const gone = new Promise((done) => this.#child.once('exit', done))
    this.#child.kill('SIGKILL')
    await gone
  }
}

/** Milliseconds since the epoch with sub-millisecond digits: comparable between processes of one machine. */
export function now(): number {
  return performance.timeOrigin + performance.now()
}
