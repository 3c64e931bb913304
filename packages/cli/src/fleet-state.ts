import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** The project's folder: this file stands in packages/cli/src or packages/cli/dist. */
export const root = resolve(import.meta.dirname, '..', '..', '..')
export const home = resolve(process.env.CARILLON_HOME ?? join(root, '.carillon'))

/** What the fleet that runs on this machine says of itself, for commands in other terminals. */
export interface FleetState {
  readonly pid: number
  readonly natsUrl: string
  /** The ports in use, by their variable: `AUCTION_LISTEN_PORT`. */
  readonly ports: Readonly<Record<string, number>>
}

const file = join(home, 'fleet.json')

/** Writes down where this machine's fleet is; answers how to remove that again. */
export function writeFleetState(state: FleetState): () => void {
  mkdirSync(home, { recursive: true })
  writeFileSync(file, JSON.stringify(state))
  return () => rmSync(file, { force: true })
}

/** The fleet that `npm start` runs from this state folder, or undefined. */
export function readFleetState(): FleetState | undefined {
  try {
    const state = JSON.parse(readFileSync(file, 'utf8')) as FleetState
    process.kill(state.pid, 0)
    return state
  } catch {
    return undefined
  }
}

/** Where NATS is: NATS_URL, else that of the fleet that runs here, else the usual place. */
export function natsUrl(): string {
  return process.env.NATS_URL || readFleetState()?.natsUrl || 'nats://127.0.0.1:4222'
}
