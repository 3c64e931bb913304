import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** The project's folder: this file stands in packages/cli/src or packages/cli/dist. */
export const root = resolve(import.meta.dirname, '..', '..', '..')
export const home = resolve(process.env.CARILLON_HOME ?? join(root, '.carillon'))

interface Running {
  readonly pid: number
  readonly natsUrl: string
}

const file = join(home, 'running.json')

/** Notes where this machine's fleet is, so that the tool finds it; answers how to remove the note. */
export function noteRunning(natsUrl: string): () => void {
  mkdirSync(home, { recursive: true })
  writeFileSync(file, JSON.stringify({ pid: process.pid, natsUrl } satisfies Running))
  return () => rmSync(file, { force: true })
}

/** Where NATS is: NATS_URL, else that of the fleet that runs here, else the usual place. */
export function natsUrl(): string {
  if (process.env.NATS_URL) return process.env.NATS_URL
  try {
    const running = JSON.parse(readFileSync(file, 'utf8')) as Running
    process.kill(running.pid, 0)
    return running.natsUrl
  } catch {
    return 'nats://127.0.0.1:4222'
  }
}
