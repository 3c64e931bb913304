import type { CloseCode } from '@carillon/codec'
import { Deadline } from '@carillon/service'
import type { Identity } from '../client-connection.ts'
import type { Gateway } from '../gateway.ts'
import type { Connection } from './connection.ts'
import type { Handler } from './connection-context.ts'
import type { UpgradeRequest } from './listener.ts'

type Close = Pick<CloseCode, 'code' | 'reason'>

/** Who it is, or what the connection is closed with, and a reason for the metric. */
export type LateResult<I extends Identity = Identity> =
  | { readonly ok: true; readonly identity: I }
  | {
      readonly ok: false
      readonly close: Close
      readonly failure: string
      /** What is sent before the close, where the protocol has a frame that says why. */
      readonly frame?: Uint8Array
    }

/** How clients authenticate after the upgrade. */
export interface LateAuthentication<I extends Identity = Identity> {
  readonly authenticate: (request: UpgradeRequest) => LateResult<I> | Promise<LateResult<I>>
  /** When that takes longer than the limit `unauthenticatedMs`. */
  readonly timedOut: Close
  /** When the user has as many connections as one may have. */
  readonly tooMany: Close
}

/**
 * Finds out who connected and hands the connection to the app, or closes it. Until then nothing is read from the
 * client, so that its first frames wait in the network, not in memory; and a deadline runs.
 */
export async function authenticateAfterUpgrade<I extends Identity>(
  gateway: Gateway<Connection>,
  connection: Connection,
  request: UpgradeRequest,
  { authenticate, timedOut, tooMany }: LateAuthentication<I>,
  unauthenticated: Set<Connection>,
  open: (connection: Connection, identity: I) => Handler,
): Promise<void> {
  const refuse = (code: Close, frame?: Uint8Array) => {
    if (frame !== undefined) connection.send(frame)
    connection.close(code)
    // The answer to the close frame must be read.
    connection.resume()
  }
  const deadline = new Deadline({ due: () => refuse(timedOut) })
  gateway.wheel.set(deadline, gateway.limits.unauthenticatedMs)
  unauthenticated.add(connection)
  connection.pause()
  try {
    const result = await authenticate(request)
    if (!connection.isOpen) return
    if (!result.ok) {
      gateway.authenticationFailed(result.failure)
      return refuse(result.close, result.frame)
    }
    const { identity } = result
    if (gateway.connections.countOfUser(identity.userId) >= gateway.limits.connectionsPerUserMax) {
      gateway.refused('user')
      return refuse(tooMany)
    }
    connection.identify(identity)
    connection.open(open(connection, identity))
    connection.resume()
  } catch (error) {
    gateway.handlerFailed(error)
    refuse({ code: 1011, reason: 'internal error' })
  } finally {
    gateway.wheel.clear(deadline)
    unauthenticated.delete(connection)
  }
}
