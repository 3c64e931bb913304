import { setTimeout as sleep } from 'node:timers/promises'

const TIMEOUT_MS = 5_000
const RETRY_MIN_MS = 250
const RETRY_MAX_MS = 5_000

/** Clients ask the discovery service where to connect, each time anew, and spread over time. */
export class EndPoints {
  /** Of the discovery service. */
  readonly url: string
  readonly #random: () => number

  constructor(url: string, random: () => number) {
    this.url = url
    this.#random = random
  }

  /** The endpoint for one client; asks until there is one. */
  async of(service: string): Promise<string> {
    for (let waitMs = RETRY_MIN_MS; ; waitMs = Math.min(RETRY_MAX_MS, waitMs * 2)) {
      const answer = await this.#ask(service).catch(() => undefined)
      if (answer) return answer
      await sleep(waitMs * this.#random())
    }
  }

  async #ask(service: string): Promise<string | undefined> {
    const url = `${this.url}/iapi/websocket/end_point?service=${service}`
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) })
    const { error_code, end_point } = (await response.json()) as { error_code: number; end_point?: string }
    return error_code === 0 ? end_point : undefined
  }
}
