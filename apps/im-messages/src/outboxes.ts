import type { Bus } from '@carillon/bus'
import type { Logger, Metrics } from '@carillon/service'
import type { Database } from './database/database.ts'
import { pushToOffline } from './offline-pusher.ts'
import type { Publisher } from './publisher.ts'
import type { Committed } from './store/commit-plan.ts'
import { drainNoticeOutbox, noticeOutboxLeftOver } from './store/inbox.ts'
import { drainOfflinePushes } from './store/offline-pushes.ts'
import { drainOutbox, outboxLeftOver } from './store/outbox.ts'
import { Backlog, Worker } from './worker.ts'

export interface OutboxesOptions {
  readonly database: Database
  readonly publisher: Publisher
  readonly bus: Bus
  readonly log: Logger
  readonly metrics: Metrics
  readonly now: () => number
}

/** How often to look for what another instance has committed and not published, and how old that must be. */
const SWEEP_INTERVAL_MS = 1_000
const SWEEP_AGE_MS = 2_000
const KEYS_AT_ONCE = 1_000

/**
 * From commit to push. What this instance commits it publishes at once; what it finds standing in the database for
 * too long was left by one that died, and is published too.
 */
export class Outboxes {
  readonly #conversations = new Backlog()
  readonly #users = new Backlog()
  readonly #workers: readonly Worker[]
  readonly #drainConversations: Worker
  readonly #drainUsers: Worker
  readonly #drainOffline: Worker
  #sweptAtStart = false

  constructor({ database, publisher, bus, log, metrics, now }: OutboxesOptions) {
    this.#drainConversations = new Worker({
      name: 'outbox',
      intervalMs: 0,
      log,
      run: () =>
        this.#conversations.work(KEYS_AT_ONCE, (convIds) =>
          drainOutbox(database, convIds, (entries) => publisher.entries(entries)),
        ),
    })
    this.#drainUsers = new Worker({
      name: 'notice outbox',
      intervalMs: 0,
      log,
      run: () =>
        this.#users.work(KEYS_AT_ONCE, (userIds) =>
          drainNoticeOutbox(database, userIds, (entries) => publisher.notices(entries)),
        ),
    })
    const offline = metrics.counter('im_offline_pushes_total', 'Members told of as not connected')
    this.#drainOffline = new Worker({
      name: 'offline pushes',
      intervalMs: SWEEP_INTERVAL_MS,
      log,
      run: () =>
        drainOfflinePushes(database, async (session, places) => {
          const { pushed, done } = await pushToOffline(bus, session, places, now())
          offline.inc(pushed)
          return done
        }),
    })
    const swept = metrics.counter('im_outbox_swept_total', 'Conversations and inboxes found with old entries')
    const sweep = new Worker({
      name: 'outbox sweep',
      intervalMs: SWEEP_INTERVAL_MS,
      log,
      run: async () => {
        // At the start there is nobody's fresh work to step on that would not be published in order anyway.
        const nowMs = now()
        const ageMs = this.#sweptAtStart ? SWEEP_AGE_MS : 0
        const convIds = await outboxLeftOver(database, nowMs, ageMs)
        const userIds = await noticeOutboxLeftOver(database, nowMs, ageMs)
        swept.inc(convIds.length + userIds.length)
        this.#sweptAtStart = true
        this.conversations(convIds)
        this.users(userIds)
        return false
      },
    })
    this.#workers = [this.#drainConversations, this.#drainUsers, this.#drainOffline, sweep]
    metrics.gaugeOf(
      'im_outbox_backlog',
      'Conversations and inboxes waiting for the broker',
      () => this.#conversations.size + this.#users.size,
    )
  }

  start(): void {
    for (const worker of this.#workers) worker.start()
  }

  wake(): void {
    for (const worker of this.#workers) worker.wake()
  }

  /** Messages were stored. */
  committed({ messages, created }: Committed): void {
    this.conversations([...created, ...messages.map(({ convId }) => convId)])
    if (messages.some(({ offlinePush }) => offlinePush)) this.#drainOffline.wake()
  }

  /** Something was committed to the outbox of these conversations. */
  conversations(convIds: readonly string[]): void {
    if (convIds.length === 0) return
    this.#conversations.add(convIds)
    this.#drainConversations.wake()
  }

  /** Notices were stored for these users. */
  users(userIds: readonly string[]): void {
    if (userIds.length === 0) return
    this.#users.add(userIds)
    this.#drainUsers.wake()
  }

  /** Resolves when everything that is known here is published, or the time is over. */
  async empty(timeoutMs: number): Promise<void> {
    const end = performance.now() + timeoutMs
    while (this.#conversations.size + this.#users.size > 0 && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()))
  }
}
