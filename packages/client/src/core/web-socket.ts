import { ClientError } from './errors.ts'

/** What this library needs of the standard `WebSocket`: that of a browser, of Node ≥ 22, and of `ws` fit. */
export interface WebSocketLike {
  binaryType: string
  readonly readyState: number
  readonly bufferedAmount: number
  onopen: ((event: never) => void) | null
  onmessage: ((event: never) => void) | null
  onclose: ((event: never) => void) | null
  onerror: ((event: never) => void) | null
  send(data: string | Uint8Array<ArrayBuffer>): void
  close(code?: number, reason?: string): void
}

export type WebSocketConstructor = new (url: string) => WebSocketLike

/** @throws {ClientError} `no_web_socket` */
export function findWebSocket(given: WebSocketConstructor | undefined): WebSocketConstructor {
  const found = given ?? (globalThis as { WebSocket?: unknown }).WebSocket
  if (found === undefined) {
    throw new ClientError(
      'no_web_socket',
      'this environment has no WebSocket: pass one, that of ws for example',
    )
  }
  return found as WebSocketConstructor
}
