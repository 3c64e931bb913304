import { randomUUID } from 'node:crypto'
import type { Bus } from '@carillon/bus'
import { type AuditAct, type AuditRecord, audit, auditStream } from '@carillon/events'
import type { Clock, Logger } from '@carillon/service'
import type { Audit, AuditEntry } from '../api.ts'
import { ApiFailure } from '../http/api-failure.ts'
import { RequestRates } from '../http/request-rates.ts'

export interface Actor {
  readonly user: string
  readonly role: AuditRecord['role']
  readonly remoteAddress: string
}

export interface Act {
  readonly act: AuditAct
  /** What it is done to: no credentials. */
  readonly target: Readonly<Record<string, unknown>>
}

export interface AuditLogOptions {
  readonly bus: Bus
  readonly clock: Pick<Clock, 'now' | 'monotonic'>
  readonly log: Logger
  readonly instanceId: string
}

const SERVICE = 'console'
const DETAIL_LENGTH_MAX = 1_024
/**
 * Refusals, which cost nobody a token, that the stream takes in: over its 90 days a quarter of its bytes at most, so
 * that a flood of them does not push acts out.
 */
const REFUSALS = { perSecond: 0.02, burst: 200 } as const
const PAGE_MAX = 100
const PAGE_DEFAULT = 50

/** Who did what: a line of the log, and a record in stream AUDIT, both before the act is answered. */
export class AuditLog {
  readonly #options: AuditLogOptions
  readonly #refusals: RequestRates

  constructor(options: AuditLogOptions) {
    this.#options = options
    this.#refusals = new RequestRates(REFUSALS, () => options.clock.monotonic())
  }

  /**
   * Does something on the record: that it is begun is stored before it, what became of it afterwards, and nothing is
   * done that cannot be recorded. @throws what the act throws; {ApiFailure} where a record cannot be stored
   */
  async during<T>(actor: Actor, act: Act, work: () => Promise<T>, outcome: (done: T) => string): Promise<T> {
    const id = randomUUID()
    await this.#require(this.#record(id, actor, act, 'begun'), 'the act cannot be recorded, nothing was done')
    let done: T
    try {
      done = await work()
    } catch (error) {
      const reason = error instanceof ApiFailure ? error.message : 'internal error'
      await this.#try(this.#record(id, actor, act, 'failed', reason))
      throw error
    }
    await this.#require(
      this.#record(id, actor, act, 'done', outcome(done)),
      'it is done, but that could not be recorded',
    )
    return done
  }

  /** Records something that changes nothing in the fleet: without NATS, the line of the log has to do. */
  note(actor: Actor, act: Act, result: 'done'): Promise<void> {
    return this.#try(this.#record(randomUUID(), actor, act, result))
  }

  /** Records what somebody was refused who may be anybody: when there are too many of them, in the log alone. */
  refused(actor: Actor, act: Act, reason: string): Promise<void> {
    const record = this.#recordOf(randomUUID(), actor, act, 'refused', reason)
    return this.#try(this.#refusals.take('') ? this.#store(record) : Promise.resolve(this.#print(record)))
  }

  /** A page of the records, newest first. @throws {ApiFailure} without NATS */
  async page(before: number | undefined, limit = PAGE_DEFAULT): Promise<Audit> {
    const stream = this.#options.bus.stream(auditStream)
    const end = before ?? (await stream.position()).sequence + 1
    const count = Math.min(PAGE_MAX, Math.max(1, limit))
    const first = Math.max(1, end - count)
    const sequences = Array.from({ length: Math.max(0, end - first) }, (_, i) => first + i)
    const filter = audit.record.filter()
    const stored = await Promise.all(sequences.map((sequence) => stream.next(filter, sequence)))
    const entries: AuditEntry[] = []
    const seen = new Set<number>()
    for (const message of stored) {
      if (message === undefined || message.sequence >= end || seen.has(message.sequence)) continue
      seen.add(message.sequence)
      const decoded = audit.record.decode(message.subject, message.bytes)
      if (decoded.ok)
        entries.push({
          ...(decoded.value.payload as Omit<AuditEntry, 'sequence'>),
          sequence: message.sequence,
        })
    }
    entries.sort((a, b) => b.sequence - a.sequence)
    // What lies before may have aged out: then there is nothing more.
    const more = first > 1 && entries.some(({ sequence }) => sequence === first)
    return { entries, ...(more && { before: first }) }
  }

  #record(id: string, actor: Actor, act: Act, result: AuditRecord['result'], detail?: string): Promise<void> {
    return this.#store(this.#recordOf(id, actor, act, result, detail))
  }

  #recordOf(
    id: string,
    actor: Actor,
    { act, target }: Act,
    result: AuditRecord['result'],
    detail?: string,
  ): AuditRecord {
    const { clock, instanceId } = this.#options
    return {
      act_id: id,
      act,
      user: actor.user.slice(0, DETAIL_LENGTH_MAX),
      role: actor.role,
      remote_address: actor.remoteAddress.slice(0, 64),
      target,
      result,
      ...(detail !== undefined && { detail: detail.slice(0, DETAIL_LENGTH_MAX) }),
      at: clock.now(),
      instance_id: instanceId,
    }
  }

  #print(record: AuditRecord): void {
    this.#options.log.info({ audit: record }, 'an act of an operator')
  }

  async #store(record: AuditRecord): Promise<void> {
    this.#print(record)
    const { act, act_id, result } = record
    const messageId = `${act_id}.${result}`
    await this.#options.bus.publishStored(audit.record, { service: SERVICE, act }, record, { messageId })
  }

  async #require(recorded: Promise<void>, otherwise: string): Promise<void> {
    try {
      await recorded
    } catch (error) {
      this.#options.log.error({ err: error }, 'an act could not be recorded')
      throw new ApiFailure('unavailable', otherwise)
    }
  }

  async #try(recorded: Promise<void>): Promise<void> {
    try {
      await recorded
    } catch (error) {
      this.#options.log.error({ err: error }, 'an act could not be recorded')
    }
  }
}
