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
