/** What the starter and the supervisor say to each other. */
export interface ProcessPlan {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly logFile: string
  /** A service says when it has started; others, such as nats-server, know nothing of us and stop last. */
  readonly isService: boolean
}

export type ToSupervisor =
  | { readonly type: 'start'; readonly processes: readonly ProcessPlan[] }
  | { readonly type: 'stop' }

export type FromSupervisor =
  /** A service has opened its ports; the id is the one that its `/readyz` names. */
  | { readonly type: 'started'; readonly name: string; readonly instanceId: string }
  /** What a service says on its standard error. */
  | { readonly type: 'stderr'; readonly name: string; readonly text: string }
  /** A process has ended without having been asked to. */
  | { readonly type: 'ended'; readonly name: string; readonly code: number | string }
