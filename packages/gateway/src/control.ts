import type { Bus } from '@carillon/bus'
import type { CloseCode } from '@carillon/codec'
import { type ConnectionReport, control } from '@carillon/events'
import type { ClientConnection } from './client-connection.ts'
import type { Registry } from './registry.ts'

export interface ControlOptions {
  readonly bus: Bus
  readonly service: string
  readonly instanceId: string
  readonly connections: Registry
  /** What a connection is closed with where the request names no code. */
  readonly disconnected: CloseCode
}

/** An answer must fit into a message: what is beyond this is counted, not described. */
const DESCRIBED_BYTES_MAX = 500_000

/** Serves `control.{service}.*`: every instance answers for the connections it holds. */
export function serveControl({ bus, service, instanceId, connections, disconnected }: ControlOptions): void {
  bus.serve(control.disconnect, { service }, ({ payload }) => {
    const { user_id, device_id, code = disconnected.code, reason = disconnected.reason } = payload
    let closed = 0
    for (const connection of [...connections.ofUser(user_id)]) {
      if (device_id !== undefined && connection.identity?.deviceId !== device_id) continue
      connection.close({ code, reason })
      closed += 1
    }
    return { instance_id: instanceId, closed }
  })

  bus.serve(control.connections, { service }, ({ payload: { user_id } }) => {
    if (user_id === undefined) return { instance_id: instanceId, count: connections.size }
    const theirs = connections.ofUser(user_id)
    return { instance_id: instanceId, count: theirs.size, connections: describe(theirs) }
  })
}

/** The reports that fit into an answer, the last of them perhaps without all of its subscriptions. */
function describe(connections: Iterable<ClientConnection>): ConnectionReport[] {
  const described: ConnectionReport[] = []
  let bytesLeft = DESCRIBED_BYTES_MAX
  for (const connection of connections) {
    const { subscriptions, ...report } = connection.report()
    bytesLeft -= jsonBytes({ ...report, subscriptions: [], subscriptions_omitted: subscriptions.length })
    if (bytesLeft < 0) break
    const named = []
    for (const subscription of subscriptions) {
      bytesLeft -= jsonBytes(subscription) + 1
      if (bytesLeft < 0) break
      named.push(subscription)
    }
    const omitted = subscriptions.length - named.length
    described.push({
      ...report,
      subscriptions: named,
      ...(omitted > 0 && { subscriptions_omitted: omitted }),
    })
  }
  return described
}

function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value))
}
