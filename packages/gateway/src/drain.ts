import { setTimeout as sleep } from 'node:timers/promises'
import type { CloseCode } from '@carillon/codec'
import type { ClientConnection } from './client-connection.ts'
import type { Registry } from './registry.ts'

/** Connections whose time has come within one step are closed together: a timer for each would take longer. */
const STEP_MS = 10

/** When so many connections are closed: each has a slice of the time of its own, and a random moment within it. */
export function closeTimes(count: number, overMs: number, random: () => number = Math.random): number[] {
  return Array.from({ length: count }, (_, index) => ((index + random()) * overMs) / count)
}

/**
 * Closes the connections that are open now evenly over so many milliseconds, with jitter, so that their clients
 * do not come back in one instant. Those that do not answer within `closeMs` are cut off.
 */
export async function closeEvenly<C extends ClientConnection>(
  connections: Registry<C>,
  code: CloseCode,
  overMs: number,
  closeMs: number,
): Promise<void> {
  const open = [...connections]
  const startedAt = performance.now()
  const dueMs = closeTimes(open.length, overMs)
  for (let next = 0; next < open.length; ) {
    const elapsedMs = performance.now() - startedAt
    while (next < open.length && (dueMs[next] as number) <= elapsedMs) open[next++]?.close(code)
    if (next < open.length) await sleep(STEP_MS)
  }
  const deadline = performance.now() + closeMs
  while (connections.size > 0 && performance.now() < deadline) await sleep(STEP_MS)
  for (const connection of connections) connection.terminate()
}
