import { EnvironmentError } from './environment.ts'
import { exit, killAfter } from './exit.ts'
import { StartError } from './listening.ts'
import type { Logger } from './logger.ts'
import type { Service } from './service.ts'

/** How long stopping may take beyond the drain: what a peer or a broker that does not answer is waited for. */
const STOP_MARGIN_MS = 10_000
/** How long the event loop has for its own limit before the process is killed from outside of it. */
const KILL_MARGIN_MS = 2_000
const STDERR_TIMEOUT_MS = 500

type Deployable = Pick<Service, 'start' | 'stop' | 'log' | 'drainLimitMs' | 'instanceId'>

export interface RunOptions {
  /** Default: 10 s. */
  readonly stopMarginMs?: number
}

/**
 * A deployable's whole life: create from the environment, start, and on SIGTERM, on SIGINT, or when a parent that
 * started it with an IPC channel is gone, drain and exit 0. A second signal exits at once, and so does the first
 * after a limit of time, whatever hangs. A bad environment, a taken port or another StartError is one clear message and
 * exit code 1; an uncaught error is logged, and the exit code is 1.
 */
export async function run(
  create: (environment: NodeJS.ProcessEnv) => Deployable,
  { stopMarginMs = STOP_MARGIN_MS }: RunOptions = {},
): Promise<void> {
  // Whoever reads our output may be gone.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  try {
    const service = create(process.env)
    exitOnUncaughtErrors(service.log)
    const stop = stopper(service, stopMarginMs)
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
    process.on('disconnect', stop)
    await service.start()
    // A parent that started us with a channel learns that it was us who started, and not whoever had the port.
    // It may be gone by now: that is no error of ours, and 'disconnect' tells.
    process.send?.({ type: 'started', instanceId: service.instanceId }, undefined, undefined, () => {})
  } catch (error) {
    const known = error instanceof EnvironmentError || error instanceof StartError
    await printError(known ? error.message : error instanceof Error ? (error.stack ?? '') : String(error))
    await exit(1)
  }
}

function exitOnUncaughtErrors(log: Logger): void {
  const fail = (message: string) => (error: unknown) => {
    log.fatal({ err: error instanceof Error ? error : new Error(String(error)) }, message)
    leave(log, 1)
  }
  process.on('uncaughtException', fail('uncaught exception'))
  process.on('unhandledRejection', fail('unhandled rejection'))
}

/** Stops the service when it is called first, and exits at once when it is called again. */
function stopper(service: Deployable, stopMarginMs: number): () => Promise<void> {
  const { log } = service
  let stopping = false
  return async () => {
    if (stopping) return leave(log, 1)
    stopping = true
    const limitMs = service.drainLimitMs + stopMarginMs
    killAfter(limitMs + KILL_MARGIN_MS)
    setTimeout(() => {
      log.error({ limit_ms: limitMs }, 'stopping takes too long')
      leave(log, 1)
    }, limitMs)
    await service.stop()
    leave(log, 0)
  }
}

function leave(log: Logger, code: number): void {
  log.flush()
  void exit(code)
}

/** Resolves when the text is written, and after a moment in any case. */
function printError(text: string): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, STDERR_TIMEOUT_MS)
    process.stderr.write(`${text}\n`, () => resolve())
  })
}
