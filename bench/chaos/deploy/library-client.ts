import type { ClientOptions, ConnectionState, WebSocketConstructor } from '@carillon/client'
import { WebSocket } from 'ws'
import type { Sessions } from './sessions.ts'
import type { TrafficOptions } from './traffic.ts'

/** What is counted of one of the client library's classes. */
interface Counted {
  connect(): Promise<void>
  close(): void
  on(event: 'state', listener: (state: ConnectionState) => void): () => void
}

/** Comes back to wherever discovery sends it, within a second as the services' pages say. */
export function connectionOptions({ endPoints }: TrafficOptions): Omit<ClientOptions, 'token'> {
  return {
    endpoint: { discoveryUrl: endPoints.url },
    WebSocket: WebSocket as unknown as WebSocketConstructor,
    reconnect: { baseMs: 1_000, maxMs: 5_000 },
  }
}

/** Tells the sessions when the client's connections begin and end; answers how to close it uncounted. */
export function countSessions(client: Counted, name: string, sessions: Sessions): () => void {
  let open = false
  const stop = client.on('state', (state) => {
    if (state.type === 'open') {
      open = true
      sessions.opened(name)
    } else if (open) {
      open = false
      const close = 'close' in state ? state.close : undefined
      sessions.closed(name, close?.code ?? 'reconnect', state.type === 'closed')
    } else if (state.type === 'closed') {
      // Told not to come back before it was in.
      sessions.refused(name, state.close.code)
    }
  })
  return () => {
    stop()
    client.close()
  }
}
