import { type ChildProcess, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { FromSupervisor, ProcessPlan, ToSupervisor } from './messages.ts'

/** The starter's side of the supervisor. */
export class SupervisorProcess {
  readonly #process: ChildProcess
  readonly #gone: Promise<void>

  /** @param lost is called when the supervisor ends without having been asked to. */
  constructor(received: (message: FromSupervisor) => void, lost: () => void) {
    const source = join(import.meta.dirname, 'supervisor.ts')
    const script = existsSync(source) ? source : join(import.meta.dirname, 'supervisor.js')
    this.#process = fork(script, [], { detached: true, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    this.#process.on('message', received)
    this.#gone = new Promise((resolve) => this.#process.once('exit', () => resolve()))
    this.#process.once('error', lost)
    this.#process.once('exit', (code) => {
      // Whatever is left of its group would never be stopped by anybody.
      this.kill()
      if (code !== 0) lost()
    })
  }

  start(processes: readonly ProcessPlan[]): void {
    this.#send({ type: 'start', processes })
  }

  /** Stops all processes in order; resolves when none is left. */
  async stop(): Promise<void> {
    this.#send({ type: 'stop' })
    await this.#gone
  }

  /** Kills the supervisor and all processes, now. */
  kill(): void {
    const { pid } = this.#process
    if (pid === undefined) return
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      // The group has no process any more.
    }
  }

  #send(message: ToSupervisor): void {
    if (this.#process.connected) this.#process.send(message, () => {})
  }
}
