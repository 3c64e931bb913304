import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, writeSync } from 'node:fs'
import type { ProcessPlan } from './messages.ts'

const STOP_TIMEOUT_MS = 10_000

export interface ChildListener {
  started(instanceId: string): void
  stderr(text: string): void
  ended(code: number | string): void
}

/** One process of the fleet. What it prints goes to its log file. */
export class Child {
  readonly #process: ChildProcess
  readonly #gone: Promise<void>

  constructor({ command, args, env, logFile, isService }: ProcessPlan, listener: ChildListener) {
    const log = openSync(logFile, 'w')
    // Straight into the file: nothing of ours stands between a process and its log.
    this.#process = spawn(command, args, {
      env,
      stdio: isService ? ['ignore', log, 'pipe', 'ipc'] : ['ignore', log, log],
    })
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      try {
        writeSync(log, chunk)
      } catch {
        // The disk may be full; the terminal still shows it.
      }
      listener.stderr(chunk.toString())
    })
    this.#process.on('message', (message: { type?: string; instanceId?: string }) => {
      if (message.type === 'started') listener.started(String(message.instanceId))
    })
    const end = new Promise<number | string>((resolve) => {
      this.#process.once('error', (error) => resolve(error.message))
      // After `exit`, what it said last may still be under way.
      this.#process.once('close', (code, signal) => resolve(code ?? signal ?? 'nothing'))
    })
    this.#gone = end.then((code) => {
      closeSync(log)
      listener.ended(code)
    })
  }

  async stop(): Promise<void> {
    this.#process.kill('SIGTERM')
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await this.#gone
    clearTimeout(timer)
  }
}
