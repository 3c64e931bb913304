import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'

/** How long what the thread pool is at may delay the end of the process. */
const THREAD_POOL_WAIT_MS = 1_000
const POLL_MS = 10

/**
 * Ends the process with this code. `process.exit` waits for what the thread pool is at, a name lookup for
 * instance, however long that takes; here it has a moment, and then the process kills itself.
 */
export async function exit(code: number): Promise<never> {
  const deadline = performance.now() + THREAD_POOL_WAIT_MS
  while (threadPoolBusy() && performance.now() < deadline) await sleep(POLL_MS)
  if (threadPoolBusy()) process.kill(process.pid, 'SIGKILL')
  process.exit(code)
}

function threadPoolBusy(): boolean {
  return process
    .getActiveResourcesInfo()
    .some((type) => /^(FSReq|GetAddrInfoReq|GetNameInfoReq|QueryReq)/.test(type))
}

/**
 * Kills the process after so many milliseconds, whatever it is doing by then: an event loop that no longer turns
 * cannot stop a thread of its own.
 */
export function killAfter(ms: number): void {
  const code = `setTimeout(() => process.kill(process.pid, 'SIGKILL'), ${Math.ceil(ms)})`
  const watchdog = new Worker(code, { eval: true, stdin: false, execArgv: [] })
  // Without one, the limit that the event loop keeps is still there.
  watchdog.once('error', () => {})
  watchdog.unref()
}
