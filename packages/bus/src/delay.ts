import { setMaxListeners } from 'node:events'

/** Resolves after so many milliseconds, or as soon as the signal aborts. Holds no process open. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', finish)
      resolve()
    }
    const timer = setTimeout(finish, ms)
    timer.unref()
    signal?.addEventListener('abort', finish)
    if (signal?.aborted) finish()
  })
}

/** A controller whose signal many may wait for: Node.js takes more than ten listeners for a leak. */
export function abortController(): AbortController {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  return controller
}
