import { binaryFrame, encodeNoticePush, readNotice } from '@carillon/codec'
import { type Clock, Deadline, type Logger, type TimingWheel } from '@carillon/service'
import pLimit from 'p-limit'
import type { Client } from './client.ts'
import type { MessageService } from './message-service.ts'
import { type NoticeCommand, type NoticeEffect, type NoticeLimits, step } from './notice-delivery.ts'

export interface NoticesOptions {
  readonly messages: MessageService
  readonly clock: Clock
  readonly wheel: TimingWheel
  readonly log: Logger
  readonly limits: NoticeLimits
}

const LOADS_PARALLEL = 64

/** Delivers notices to devices until they acknowledge them: performs what `notice-delivery.ts` decides. */
export class Notices {
  sent = 0
  /** Of those, how many had been sent before. */
  redelivered = 0
  readonly #options: NoticesOptions
  readonly #limit = pLimit(LOADS_PARALLEL)

  constructor(options: NoticesOptions) {
    this.#options = options
  }

  /** Tells a client's delivery what happened. */
  step(client: Client, command: NoticeCommand): void {
    if (client.phase !== 'online') return
    const { clock, limits } = this.#options
    const [next, effects] = step(client.notices, command, clock.monotonic(), limits)
    client.notices = next
    for (const effect of effects) this.#perform(client, effect)
  }

  /** The connection has ended: what is in flight stays in the message service's store. */
  ended(client: Client): void {
    if (client.noticeDeadline) this.#options.wheel.clear(client.noticeDeadline)
  }

  #perform(client: Client, effect: NoticeEffect): void {
    switch (effect.type) {
      case 'load':
        return void this.#load(client)
      case 'send':
        this.sent += effect.notices.length
        this.redelivered += effect.again
        return client.connection.send(binaryFrame(encodeNoticePush(effect.notices.map(({ bytes }) => bytes))))
      case 'wait':
        client.noticeDeadline ??= new Deadline({ due: () => this.step(client, { type: 'due' }) })
        return this.#options.wheel.set(client.noticeDeadline, effect.delayMs)
      default:
        effect satisfies never
    }
  }

  async #load(client: Client): Promise<void> {
    const { messages, limits, log } = this.#options
    try {
      const answer = await this.#limit(async () =>
        client.phase === 'online'
          ? messages.pendingNotices(client.identity, limits.noticesInFlightMax)
          : { notices: [], more: false },
      )
      const notices = answer.notices.flatMap((bytes) => readNotice(bytes) ?? [])
      this.step(client, { type: 'loaded', notices, more: answer.more })
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      log.debug({ reason }, 'pending notices could not be asked for')
      this.step(client, { type: 'load_failed' })
    }
  }
}
