import type { Metrics } from '@carillon/service'
import type { Database } from './database/database.ts'
import {
  deleteAcknowledgedNotices,
  deleteMessages,
  FIRST_NOTICE,
  forgetDevices,
  type NoticePlace,
  RETENTION_STEP,
} from './store/retention.ts'

const DAY_MS = 86_400_000
/** Between two steps, so that others come to their turn. */
const PAUSE_MS = 50

export interface RetentionWalkOptions {
  readonly database: Database
  readonly config: {
    readonly messageRetentionDays: number
    readonly noticeRetentionDays: number
    readonly deviceRetentionDays: number
  }
  readonly metrics: Metrics
  readonly now: () => number
}

/** Deletes what is older than it need be, in small steps. */
export class RetentionWalk {
  readonly #options: RetentionWalkOptions
  readonly #deleted: (what: string, count: number) => void
  #notice: NoticePlace = FIRST_NOTICE

  constructor(options: RetentionWalkOptions) {
    this.#options = options
    const deleted = options.metrics.counter(
      'im_retention_deleted_total',
      'Rows deleted because of their age',
      ['what'],
    )
    this.#deleted = (what, count) => deleted.inc({ what }, count)
  }

  /** One step of each kind; answers whether there is more to do. */
  async step(): Promise<boolean> {
    const { database, config, now } = this.#options
    let more = false
    // Devices first: the notices that only they have not acknowledged can go then.
    if (config.deviceRetentionDays > 0) {
      const before = now() - config.deviceRetentionDays * DAY_MS
      const forgotten = await database.run((session) => forgetDevices(session, before))
      this.#deleted('devices', forgotten)
      more ||= forgotten === RETENTION_STEP
    }
    if (config.messageRetentionDays > 0) {
      const before = now() - config.messageRetentionDays * DAY_MS
      const deleted = await database.run((session) => deleteMessages(session, before))
      this.#deleted('messages', deleted)
      more ||= deleted === RETENTION_STEP
    }
    if (config.noticeRetentionDays > 0) {
      const before = now() - config.noticeRetentionDays * DAY_MS
      const { deleted, next } = await database.run((session) =>
        deleteAcknowledgedNotices(session, before, this.#notice),
      )
      this.#deleted('notices', deleted)
      this.#notice = next ?? FIRST_NOTICE
      more ||= next !== undefined
    }
    if (more) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    return more
  }
}
