/** npm passes on a signal that the terminal has sent to us as well: within so long, it is the same one. */
const SAME_SIGNAL_MS = 1_000
const PARENT_POLL_MS = 500

interface StopRequests {
  /** Of the npm that runs this process. */
  readonly parentPid: number
  readonly stop: () => void
  readonly kill: () => void
}

/**
 * Calls back when this process is to stop: at a signal, and when the npm that runs it is gone. `kill` is called
 * for a user who does not want to wait.
 */
export function stopRequests({ parentPid, stop, kill }: StopRequests): void {
  let firstAt: number | undefined
  const onSignal = () => {
    if (firstAt !== undefined) {
      if (performance.now() - firstAt > SAME_SIGNAL_MS) kill()
      return
    }
    firstAt = performance.now()
    stop()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
  if (process.env.npm_lifecycle_event === undefined) return
  setInterval(() => {
    if (process.ppid !== parentPid) stop()
  }, PARENT_POLL_MS).unref()
}
