import { setTimeout as sleep } from 'node:timers/promises'
import { adminUrlOf, baseUrlOf, type ServiceInfo } from '../service-info.ts'
import { ToolError } from '../tool-error.ts'

/** A database of its own takes a service some seconds, and all start at once. */
const READY_TIMEOUT_MS = 60_000
const DISCOVERED_TIMEOUT_MS = 10_000
const POLL_MS = 50

/**
 * Waits until the instance that we have started is ready; that somebody answers on its port is not enough.
 * @throws {ToolError} when it takes too long.
 */
export async function ready(
  service: ServiceInfo,
  instanceOf: (name: string) => string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS
  let reason = 'it has not started'
  while (!signal.aborted) {
    const instanceId = instanceOf(service.name)
    if (instanceId !== undefined) {
      const answer = await readyz(service)
      if (answer?.instance_id === instanceId && answer.status === 'ready') return
      reason = answer?.instance_id === instanceId ? String(answer.reason) : 'its admin port does not answer'
    }
    if (performance.now() > deadline) {
      throw new ToolError(`${service.name} was not ready after ${READY_TIMEOUT_MS / 1_000} s: ${reason}`)
    }
    await sleep(POLL_MS)
  }
}

interface Readiness {
  readonly status?: string
  readonly reason?: string
  readonly instance_id?: string
}

async function readyz(service: ServiceInfo): Promise<Readiness | undefined> {
  try {
    const response = await fetch(`${adminUrlOf(service)}/readyz`, { signal: AbortSignal.timeout(1_000) })
    return (await response.json()) as Readiness
  } catch {
    return undefined
  }
}

/** Waits until discovery knows the gateways, for as long as they may take to announce themselves. */
export async function discovered(selected: readonly ServiceInfo[], signal: AbortSignal): Promise<void> {
  const discovery = selected.find(({ alias }) => alias === 'discovery')
  if (discovery === undefined) return
  const url = `${baseUrlOf(discovery)}/iapi/websocket/end_points`
  const deadline = performance.now() + DISCOVERED_TIMEOUT_MS
  while (!signal.aborted && performance.now() < deadline) {
    const endPoints = await knownEndPoints(url)
    // Without an answer, as where requests must be signed, there is nothing to wait for.
    if (endPoints === undefined) return
    const known = ({ alias, client }: ServiceInfo) =>
      client === undefined || endPoints[alias]?.error_code === 0
    if (selected.every(known)) return
    await sleep(POLL_MS)
  }
}

async function knownEndPoints(url: string): Promise<Record<string, { error_code: number }> | undefined> {
  const response = await fetch(url, { signal: AbortSignal.timeout(1_000) })
  return ((await response.json()) as { end_points?: Record<string, { error_code: number }> }).end_points
}
