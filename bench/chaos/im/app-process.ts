import { type ChildProcess, spawn } from 'node:child_process'
import { resolve } from 'node:path'

const root = resolve(import.meta.dirname, '../../..')

/** Something that can be killed and started again. */
export interface Victim {
  readonly name: string
  kill(): Promise<void>
  start(): Promise<void>
}

/** An app as it is deployed: its built main.js in a process of its own. */
export class AppProcess implements Victim {
  readonly name: string
  readonly #script: string
  readonly #env: NodeJS.ProcessEnv
  readonly #died: (reason: string) => void
  #child: ChildProcess | undefined

  constructor(name: string, app: string, env: NodeJS.ProcessEnv, died: (reason: string) => void) {
    this.name = name
    this.#script = resolve(root, 'apps', app, 'dist/main.js')
    this.#env = { ...process.env, NODE_OPTIONS: '', ...env }
    this.#died = died
  }

  async start(): Promise<void> {
    const child = spawn(process.execPath, [this.#script], {
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    let complaint = ''
    for (const output of [child.stdout, child.stderr]) {
      output?.on('data', (chunk) => {
        complaint = (complaint + chunk).slice(-2_000)
      })
    }
    // With all that it had to say.
    child.once('close', (code, signal) => {
      // Nobody but us may end it.
      if (this.#child === child) this.#died(`${this.name} ended by itself (${code ?? signal}): ${complaint}`)
    })
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((done) => child.once('exit', done))
    child.kill(signal)
    await gone
  }
}
