import type { Metrics } from '@carillon/service'
import { DatabaseAway, DatabaseBusy } from './database/failure.ts'
import { Code, Refusal, tryAgain } from './refusal.ts'

export interface RequestsOptions {
  readonly metrics: Metrics
  readonly log: { error(fields: object, message: string): void }
}

/** Every request is answered within this time, whatever the database does. */
export const REQUEST_DEADLINE_MS = 9_000
/** Requests under way at once; beyond, they are refused and can be sent again. */
const IN_FLIGHT_MAX = 20_000

/** Requests under way: counted, bounded in number and time, and answered with a code whatever happens. */
export class Requests {
  readonly #log: RequestsOptions['log']
  readonly #count: (request: string, code: number) => void
  readonly #seconds: (request: string, seconds: number) => void
  #inFlight = 0

  constructor({ metrics, log }: RequestsOptions) {
    this.#log = log
    const answers = metrics.counter('im_rpc_total', 'Requests by kind and code', ['request', 'code'])
    this.#count = (request, code) => answers.inc({ request, code: Code[code] as string })
    const seconds = metrics.histogram(
      'im_rpc_seconds',
      'From the arrival of a request to its answer',
      [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    )
    this.#seconds = (_request, value) => seconds.observe(value)
    metrics.gaugeOf('im_rpc_in_flight', 'Requests being worked on', () => this.#inFlight)
  }

  /** Does the work, or says why not. */
  async run<T>(request: string, work: () => Promise<T>): Promise<Answer<T>> {
    const started = performance.now()
    const answer = await this.#answer(request, work)
    this.#count(request, answer.ok ? Code.Success : answer.refusal.code)
    this.#seconds(request, (performance.now() - started) / 1_000)
    return answer
  }

  async #answer<T>(request: string, work: () => Promise<T>): Promise<Answer<T>> {
    if (this.#inFlight >= IN_FLIGHT_MAX) return { ok: false, refusal: tryAgain('too many requests') }
    this.#inFlight += 1
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(tryAgain('it took too long')), REQUEST_DEADLINE_MS)
    })
    try {
      return { ok: true, value: await Promise.race([work(), late]) }
    } catch (error) {
      return { ok: false, refusal: this.#refusalOf(request, error) }
    } finally {
      clearTimeout(timer)
      this.#inFlight -= 1
    }
  }

  #refusalOf(request: string, error: unknown): Refusal {
    if (error instanceof Refusal) return error
    if (error instanceof DatabaseAway) return tryAgain('the database cannot be used at the moment')
    if (error instanceof DatabaseBusy) return tryAgain('the database is busy')
    const reason = error instanceof Error ? error.stack : String(error)
    this.#log.error({ request, reason }, 'a request failed')
    return new Refusal(Code.InternalError, 'internal error')
  }
}

export type Answer<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly refusal: Refusal }
