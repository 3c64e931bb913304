import { useEffect, useRef, useState } from 'preact/hooks'
import { messageOf } from '../api.ts'

export type RequestState<T> =
  | { readonly type: 'idle' }
  | { readonly type: 'busy' }
  | { readonly type: 'done'; readonly value: T }
  | { readonly type: 'failed'; readonly message: string }

/** One request at a time, as the page shows it; the answer to an earlier one that comes late is passed over. */
export function useRequest<T, A extends unknown[] = []>(
  ask: (...args: A) => Promise<T>,
): [RequestState<T>, (...args: A) => Promise<void>] {
  const [state, setState] = useState<RequestState<T>>({ type: 'idle' })
  const last = useRef(0)
  useEffect(
    () => () => {
      last.current += 1
    },
    [],
  )
  const run = async (...args: A): Promise<void> => {
    const mine = ++last.current
    const settle = (next: RequestState<T>) => {
      if (mine === last.current) setState(next)
    }
    settle({ type: 'busy' })
    try {
      settle({ type: 'done', value: await ask(...args) })
    } catch (error) {
      settle({ type: 'failed', message: messageOf(error) })
    }
  }
  return [state, run]
}
