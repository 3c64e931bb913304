import { mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { processInfo } from './process-info.ts'

/** The project's folder: this file stands in packages/cli/{src,dist}/fleet. */
export const root = resolve(import.meta.dirname, '..', '..', '..', '..')
const home = resolve(process.env.CARILLON_HOME ?? join(root, '.carillon'))

/** What the fleet that runs on this machine says of itself, for commands in other terminals. */
export interface FleetState {
  /** Of the starter. */
  readonly pid: number
  readonly natsUrl: string
  /** The ports in use, by their variable: `AUCTION_LISTEN_PORT`. */
  readonly ports: Readonly<Record<string, number>>
}

const file = join(home, 'fleet.json')

/** The state folder, by its real path: two names of one folder are one folder. */
export function stateFolder(): string {
  mkdirSync(home, { recursive: true })
  return realpathSync(home)
}

/**
 * Writes down where this machine's fleet is, unless another one runs from the same folder; answers whether it
 * was written.
 */
export function writeFleetState(state: FleetState): boolean {
  stateFolder()
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      // Created or not: of two starters, one succeeds.
      writeFileSync(file, JSON.stringify(state), { flag: 'wx' })
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      if (readFleetState() !== undefined) return false
      rmSync(file, { force: true })
    }
  }
  return false
}

/** Removes what this process has written. */
export function removeFleetState(): void {
  if (readFleetState()?.pid === process.pid) rmSync(file, { force: true })
}

/** The fleet that `npm start` runs from this state folder, or undefined. */
export function readFleetState(): FleetState | undefined {
  try {
    const state = JSON.parse(readFileSync(file, 'utf8')) as FleetState
    return processInfo(state.pid)?.commandLine.includes('start.mjs') ? state : undefined
  } catch {
    return undefined
  }
}

/** Where NATS is: NATS_URL, else that of the fleet that runs here, else the usual place. */
export function natsUrl(): string {
  return process.env.NATS_URL || readFleetState()?.natsUrl || 'nats://127.0.0.1:4222'
}
