import type { Bus, Subscription } from '@carillon/bus'
import { type CampusEventName, campus, type PushReply } from '@carillon/events'
import { type Clock, Deadline, type TimingWheel } from '@carillon/service'
import { currentTrace, traceClient } from '@carillon/tracing'
import { parseAnswer } from './answer.ts'
import {
  type DurableEvent,
  type DurableEvents,
  type DurableLimits,
  nextDueMs,
  noDurableEvents,
  offer,
  rejected,
  settle,
  takeDue,
} from './durable-events.ts'
import type { Reports } from './reports.ts'
import type { SocketIoConnection } from './socket-io/connection.ts'

/** What all live devices of an instance share. */
export interface DeviceContext {
  readonly bus: Bus
  readonly clock: Clock
  readonly wheel: TimingWheel
  readonly limits: DurableLimits
  readonly pushesInFlightMax: number
  readonly reports: Reports
  /** Is this connection still the device's live one? */
  readonly holds: (device: LiveDevice) => Promise<boolean>
  readonly load: (serialNo: string) => Promise<readonly DurableEvent[]>
  readonly delete: (sequence: number) => Promise<void>
  readonly metrics: DeviceMetrics
}

export interface DeviceMetrics {
  pushed(status: PushReply['status'], latencyMs: number): void
  durable(what: 'sent' | 'acked' | 'rejected' | 'expired'): void
}

const RELOAD_MS = 1_000

/** An authenticated device's connection: live pushes, durable events, and what the device answers to them. */
export class LiveDevice {
  readonly serialNo: string
  readonly connection: SocketIoConnection
  readonly #context: DeviceContext
  /** Live pushes that wait for their answers: how to end them early. Like the next, absent while there are none. */
  #pushes: Set<(reply: PushReply) => void> | undefined
  /** Under which id each durable event in flight is acknowledged, by sequence number. */
  #ackIds: Map<number, number> | undefined
  readonly #due = new Deadline({ due: () => this.#sendDue() })
  readonly #reload = new Deadline({ due: () => void this.load() })
  readonly #ready: Promise<void>
  #setReady!: () => void
  #events: DurableEvents = noDurableEvents
  #subscription: Subscription | undefined
  #ending: Promise<void> | undefined

  constructor(serialNo: string, connection: SocketIoConnection, context: DeviceContext) {
    this.serialNo = serialNo
    this.connection = connection
    this.#context = context
    this.#ready = new Promise((resolve) => {
      this.#setReady = resolve
    })
  }

  /** Listens for the device's pushes; resolves when the server sends them here. @throws {BusUnavailable} */
  async listen(): Promise<void> {
    const { bus } = this.#context
    const { serialNo } = this
    this.#subscription = bus.serve(campus.device, { serialNo }, async ({ params, bytes }) => {
      await this.#ready
      // Without an answer: whoever holds the device now has the same question, or nobody has.
      if (this.#ended || !(await this.#context.holds(this))) return new Promise<never>(() => {})
      return this.#push(params.event as CampusEventName, bytes)
    })
    await bus.roundTrip()
  }

  /** The client has been told that it is authenticated: what waits for it may be sent. */
  deliver(): void {
    this.#setReady()
    void this.load()
  }

  /** Reads what the stream has for the device. */
  async load(): Promise<void> {
    if (this.#ended) return
    try {
      for (const event of await this.#context.load(this.serialNo)) this.#offer(event)
      this.#sendDue()
    } catch {
      if (!this.#ended) this.#context.wheel.set(this.#reload, RELOAD_MS)
    }
  }

  /** The stream's sequence numbers begin anew: nothing that is known of them holds. */
  reset(): void {
    for (const sequence of [...(this.#ackIds?.keys() ?? [])]) this.#forgetAck(sequence)
    this.#events = noDurableEvents
    void this.load()
  }

  /** A durable event was stored. */
  stored(event: DurableEvent): void {
    if (this.#ended) return
    this.#offer(event)
    this.#sendDue()
  }

  /**
   * Hears and sends nothing more. Resolves when the server knows; pushes that were on their way are answered after
   * that.
   */
  end(): Promise<void> {
    this.#ending ??= this.#end()
    return this.#ending
  }

  async #end(): Promise<void> {
    const { bus, wheel } = this.#context
    wheel.clear(this.#due)
    wheel.clear(this.#reload)
    this.#setReady()
    this.#subscription?.unsubscribe()
    try {
      await bus.roundTrip()
    } catch {
      // Without NATS there is nothing to hear from it.
    }
    for (const end of this.#pushes ?? []) end({ status: 'timeout', error: 'the device disconnected' })
  }

  get #ended(): boolean {
    return this.#ending !== undefined
  }

  #push(event: CampusEventName, body: Uint8Array): Promise<PushReply> | PushReply {
    const { clock, wheel, limits, metrics, reports, pushesInFlightMax } = this.#context
    if (!this.connection.open) return { status: 'timeout', error: 'the device disconnected' }
    if ((this.#pushes?.size ?? 0) >= pushesInFlightMax) {
      return { status: 'rejected', error: `${pushesInFlightMax} pushes wait for this device already` }
    }
    const startedAtMs = clock.monotonic()
    const parent = currentTrace()
    return new Promise((resolve) => {
      const end = (reply: PushReply) => {
        if (!this.#pushes?.delete(end)) return
        if (this.#pushes.size === 0) this.#pushes = undefined
        wheel.clear(timeout)
        this.connection.forgetAck(id)
        metrics.pushed(reply.status, clock.monotonic() - startedAtMs)
        resolve(reply)
      }
      const timeout = new Deadline({ due: () => end({ status: 'timeout' }) })
      this.#pushes ??= new Set()
      this.#pushes.add(end)
      wheel.set(timeout, limits.ackTimeoutMs)
      const id = this.connection.sendWithAck(event, body, (args) => {
        if (!this.#pushes?.has(end)) return
        const answer = parseAnswer(event, args)
        const latencyMs = clock.monotonic() - startedAtMs
        if (answer.status === 'acked') {
          const { response } = answer
          traceClient(
            `ack ${event}`,
            () => reports.acknowledged(this.serialNo, event, response, latencyMs),
            parent,
          )
        }
        end(answer)
      })
    })
  }

  #offer(event: DurableEvent): void {
    const before = this.#events.pending.get(event.event)
    this.#events = offer(this.#events, event, this.#context.clock.monotonic())
    // What the device says to the older one does not matter any more.
    if (before && this.#events.pending.get(event.event)?.sequence !== before.sequence)
      this.#forgetAck(before.sequence)
  }

  #sendDue(): void {
    if (this.#ended || !this.connection.open) return
    const { clock, wheel, limits, metrics } = this.#context
    const now = { monotonicMs: clock.monotonic(), epochMs: clock.now() }
    const taken = takeDue(this.#events, now, limits)
    this.#events = taken.events
    for (const { sequence } of taken.expired) {
      metrics.durable('expired')
      this.#forgetAck(sequence)
      void this.#context.delete(sequence)
    }
    for (const event of taken.send) this.#send(event, now.monotonicMs)
    const next = nextDueMs(this.#events, clock.monotonic())
    if (next === undefined) wheel.clear(this.#due)
    else wheel.set(this.#due, Math.max(0, next - clock.monotonic()))
  }

  #send({ event, sequence, body }: DurableEvent, sentAtMs: number): void {
    const { clock, metrics, reports } = this.#context
    metrics.durable('sent')
    const name = event as CampusEventName
    const id = this.connection.sendWithAck(
      name,
      body,
      (args) => {
        const answer = parseAnswer(name, args)
        metrics.durable(answer.status)
        if (answer.status !== 'acked') {
          this.#events = rejected(this.#events, event, sequence, clock.monotonic())
          return this.#sendDue()
        }
        this.#events = settle(this.#events, event, sequence)
        this.#acknowledged(sequence)
        void this.#context.delete(sequence)
        const { response } = answer
        const latencyMs = clock.monotonic() - sentAtMs
        traceClient(`ack ${name}`, () => reports.acknowledged(this.serialNo, event, response, latencyMs))
        this.#sendDue()
      },
      // Sent again under the same id: a late answer to the first counts.
      this.#ackIds?.get(sequence),
    )
    this.#ackIds ??= new Map()
    this.#ackIds.set(sequence, id)
  }

  #acknowledged(sequence: number): void {
    this.#ackIds?.delete(sequence)
    if (this.#ackIds?.size === 0) this.#ackIds = undefined
  }

  #forgetAck(sequence: number): void {
    const id = this.#ackIds?.get(sequence)
    if (id === undefined) return
    this.#acknowledged(sequence)
    this.connection.forgetAck(id)
  }
}
