import { type Bus, BusUnavailable } from '@carillon/bus'
import { campus } from '@carillon/events'

/** So many wait while NATS is away; then the oldest are lost, with a line in the log. */
const WAITING_MAX = 10_000

/** What internal services are told: acknowledgements and presence. Kept in order while NATS is away. */
export class Reports {
  readonly #bus: Bus
  readonly #instanceId: string
  readonly #now: () => number
  #waiting: (() => void)[] = []
  #lost = 0
  #forget: (() => void) | undefined

  constructor(bus: Bus, instanceId: string, now: () => number) {
    this.#bus = bus
    this.#instanceId = instanceId
    this.#now = now
  }

  start(): void {
    this.#forget = this.#bus.onChange((connected) => {
      if (connected) this.#sendWaiting()
    })
  }

  stop(): void {
    this.#forget?.()
  }

  acknowledged(serialNo: string, event: string, response: object, latencyMs: number): void {
    const payload = { serial_no: serialNo, event, response, latency_ms: Math.round(latencyMs) }
    this.#send(() => this.#bus.publish(campus.ack, { serialNo, event }, payload))
  }

  presence(serialNo: string, online: boolean, instanceId = this.#instanceId): void {
    const payload = { serial_no: serialNo, online, at: this.#now(), instance_id: instanceId }
    this.#send(() => this.#bus.publish(campus.presence, { serialNo }, payload))
  }

  #send(publish: () => void): void {
    if (this.#bus.connected && this.#waiting.length === 0) {
      try {
        return publish()
      } catch (error) {
        if (!(error instanceof BusUnavailable)) throw error
      }
    }
    this.#waiting.push(publish)
    if (this.#waiting.length <= WAITING_MAX) return
    this.#waiting.shift()
    if (this.#lost++ === 0)
      this.#bus.log.error({}, 'NATS is away for long: acknowledgements and presence are lost')
  }

  #sendWaiting(): void {
    const waiting = this.#waiting
    this.#waiting = []
    this.#lost = 0
    for (const publish of waiting) this.#send(publish)
  }
}
