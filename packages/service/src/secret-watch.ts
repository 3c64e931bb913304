import type { Logger } from './logger.ts'
import type { Metrics } from './metrics.ts'
import { isWatched, type WatchedSecrets } from './secret-file.ts'

const CHECK_MS = 1_000

/**
 * Says, in the log at every change and in a metric, when a file of secrets cannot be used any more: a rotation that
 * went wrong must not wait unnoticed until the next start. The log never repeats anything of the file.
 */
export class SecretWatch {
  readonly #files: readonly WatchedSecrets[]
  readonly #log: Logger
  readonly #reported = new Map<WatchedSecrets, string | undefined>()
  #timer: NodeJS.Timeout | undefined

  /** @param secrets those that are no watched files are passed over. */
  constructor(secrets: readonly unknown[], log: Logger, metrics: Metrics) {
    this.#files = secrets.filter(isWatched)
    this.#log = log
    metrics.gaugesOf(
      'secret_file_usable',
      'Whether a file of secrets can be used as it is now, by its variable; if not, the secrets read before stay good',
      'variable',
      () => this.#files.map(({ variable, problem }) => [variable, Number(problem() === undefined)]),
    )
  }

  start(): void {
    if (this.#files.length > 0) this.#timer = setInterval(() => this.#check(), CHECK_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #check(): void {
    for (const file of this.#files) {
      const problem = file.problem()
      if (problem === this.#reported.get(file)) continue
      this.#reported.set(file, problem)
      const fields = { variable: file.variable }
      if (problem === undefined) this.#log.info(fields, 'the file of secrets can be used again')
      else
        this.#log.error({ ...fields, reason: `the file ${problem}` }, 'the secrets read before stay in use')
    }
  }
}
