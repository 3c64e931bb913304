import type { ClientError, ConnectionEvents, ConnectionState } from '@carillon/client'
import type { Field } from '../parts/value-schema.ts'

/** What the pane shows of a connection. */
export interface Watcher {
  state(state: ConnectionState): void
  error(error: ClientError): void
  frame(frame: { readonly direction: 'in' | 'out'; readonly data: string | Uint8Array }): void
  /** What a frame says, where itself is not to be read. */
  note(text: string): void
}

export type Values = Readonly<Record<string, string>>

/** A connected test user and what can be done as one. Actions may throw, at once or later. */
export interface TryClient {
  readonly actions: Readonly<Record<string, (values: Values) => unknown>>
  close(): void
}

export interface TryProtocol {
  readonly userLabel: string
  readonly exampleUser: string
  readonly fields: readonly (Field & { readonly example: string })[]
  /** The names of the actions, as buttons. */
  readonly actions: readonly string[]
  open(user: string, watcher: Watcher): TryClient | Promise<TryClient>
}

export const textField = (name: string, example: string) => ({
  name,
  kind: { type: 'text' as const },
  required: true,
  description: undefined,
  example,
})

export const choiceField = (name: string, values: readonly string[]) => ({
  name,
  kind: { type: 'choice' as const, values },
  required: true,
  description: undefined,
  example: values[0] ?? '',
})

interface Watched {
  on<E extends keyof ConnectionEvents>(event: E, listener: (value: ConnectionEvents[E]) => void): unknown
  connect(): Promise<void>
}

/** Connects a client, and tells of everything that happens to it. */
export function watch(client: Watched, watcher: Watcher): void {
  client.on('state', watcher.state)
  client.on('error', watcher.error)
  client.on('frame', watcher.frame)
  // Its state tells how that goes.
  client.connect().catch(() => {})
}
