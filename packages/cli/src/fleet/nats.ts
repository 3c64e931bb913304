import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ToolError } from '../tool-error.ts'
import { stateFolder } from './fleet-state.ts'
import type { ProcessPlan } from './messages.ts'
import { processInfo } from './process-info.ts'

/** How long the fleet before may take to end: its starter was killed, its supervisor stops it. */
const PREVIOUS_TIMEOUT_MS = 20_000

/** A nats-server of our own, with its JetStream folder. */
export function natsPlan(command: string, port: number, logFile: string): ProcessPlan {
  const { folder, pidFile } = paths()
  const args = ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', folder, '-P', pidFile]
  return { name: 'nats-server', command, args, env: process.env, logFile, isService: false }
}

/**
 * Waits until no nats-server uses the JetStream folder: two on one folder would ruin it, and nats-server itself
 * does not look. One that a supervisor is stopping is waited for. @throws {ToolError} where one stays.
 */
export async function natsFolderIsFree(print: (line: string) => void): Promise<void> {
  const deadline = performance.now() + PREVIOUS_TIMEOUT_MS
  for (let waiting = false; ; waiting = true) {
    const nats = findNats()
    if (nats === undefined) return
    const { pid, supervised } = nats
    if (!supervised || performance.now() > deadline) {
      throw new ToolError(
        `nats-server (process ${pid}) uses ${paths().folder}; stop it with \`kill ${pid}\`, ` +
          'or set CARILLON_HOME to another folder',
      )
    }
    if (!waiting) print('waiting for the nats-server of an earlier fleet to end …')
    await sleep(100)
  }
}

/** The nats-server that uses our folder, if one does, and whether a supervisor looks after it. */
function findNats(): { readonly pid: number; readonly supervised: boolean } | undefined {
  const { folder, pidFile } = paths()
  let pid: number
  try {
    pid = Number(readFileSync(pidFile, 'utf8'))
  } catch {
    return undefined
  }
  const info = processInfo(pid)
  if (!info?.commandLine.includes(folder)) return undefined
  const parent = processInfo(info.parentPid)
  return { pid, supervised: parent?.commandLine.includes('supervisor') ?? false }
}

function paths() {
  const home = stateFolder()
  return { folder: join(home, 'nats'), pidFile: join(home, 'nats.pid') }
}
