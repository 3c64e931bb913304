import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

/** What all generations of the client have in common. */
export interface ClientSocket {
  readonly id: string | undefined
  readonly connected: boolean
  on(event: string, listener: (...args: never[]) => void): ClientSocket
  once(event: string, listener: (...args: never[]) => void): ClientSocket
  emit(event: string, ...args: unknown[]): ClientSocket
  connect(): ClientSocket
  disconnect(): ClientSocket
  readonly io: { readonly engine: { readonly id: string; readonly transport: { readonly name: string } } }
}

export type Connect = (url: string, options: object) => ClientSocket

/** The clients in the field, by version. */
export const clientVersions = {
  '1.7.4': 'socket.io-client-1',
  '2.0.4': 'socket.io-client-2.0',
  '2.5.0': 'socket.io-client-2.5',
  '4.x': 'socket.io-client-4',
} as const
export type ClientVersion = keyof typeof clientVersions

export const transports = {
  polling: ['polling'],
  upgrade: ['polling', 'websocket'],
  websocket: ['websocket'],
} as const
export type TransportName = keyof typeof transports

/** The `io` function of a version. */
export function clientOf(version: ClientVersion): Connect & { connect: Connect } {
  return require(clientVersions[version]) as Connect & { connect: Connect }
}

/** Every version over every transport. */
export const combinations = (Object.keys(clientVersions) as ClientVersion[]).flatMap((version) =>
  (Object.keys(transports) as TransportName[]).map((transport) => [version, transport] as const),
)
