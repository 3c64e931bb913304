import type { ComponentChildren } from 'preact'
import type { RequestState } from './use-request.ts'

interface OutcomeProps<T> {
  state: RequestState<T>
  /** What is said while there is nothing yet. */
  idle?: string
  children: (value: T) => ComponentChildren
}

/** A request's way on the page: nothing yet, busy, its answer, or what went wrong. */
export function Outcome<T>({ state, idle, children }: OutcomeProps<T>) {
  return (
    <div class="outcome" aria-live="polite" aria-busy={state.type === 'busy'}>
      {state.type === 'idle' && idle && <p class="empty">{idle}</p>}
      {state.type === 'busy' && <p class="empty">Asking …</p>}
      {state.type === 'failed' && <p class="alert">{state.message}</p>}
      {state.type === 'done' && children(state.value)}
    </div>
  )
}
