import type { Metrics } from '@carillon/service'
import type { Counter } from 'prom-client'
import type { UserShare } from './user-share.ts'

export interface SubscriptionQuotaOptions {
  readonly metrics: Metrics
  /** Subscriptions of one user, over all connections in this instance. */
  readonly perUserMax: number
  /** Subjects that this instance may be subscribed to on NATS. */
  readonly subjectsMax: number
  /** How many it is subscribed to. */
  readonly subjects: () => number
  /** Whether somebody here follows this one, so that it costs no other subject. */
  readonly isFollowed: (subject: string) => boolean
}

/** How much may be followed beyond the limit of a single connection: by a user, and by the whole instance. */
export class SubscriptionQuota {
  readonly #options: SubscriptionQuotaOptions
  readonly #refused: Counter<'limit'>
  #size = 0

  constructor(options: SubscriptionQuotaOptions) {
    const { metrics, subjects } = options
    this.#options = options
    this.#refused = metrics.counter(
      'subscriptions_refused_total',
      'Subscriptions refused by the limit of the user or the instance',
      ['limit'],
    )
    metrics.gaugeOf('subscriptions', 'Subscriptions of all connections', () => this.#size)
    metrics.gaugeOf('followed_subjects', 'NATS subjects that connections here follow', subjects)
  }

  /** Why this user may not follow this subject, or undefined where it may. */
  refusal(share: UserShare | undefined, subject: string): string | undefined {
    const { perUserMax, subjectsMax, subjects, isFollowed } = this.#options
    if (share !== undefined && share.subscriptions >= perUserMax) {
      this.#refused.inc({ limit: 'user' })
      return `a user may have ${perUserMax} subscriptions over all connections`
    }
    if (subjects() >= subjectsMax && !isFollowed(subject)) {
      this.#refused.inc({ limit: 'instance' })
      return 'the instance follows as much as it can'
    }
    return undefined
  }

  subscribed(share: UserShare | undefined): void {
    this.#size += 1
    if (share !== undefined) share.subscriptions += 1
  }

  unsubscribed(share: UserShare | undefined): void {
    this.#size -= 1
    if (share !== undefined) share.subscriptions -= 1
  }
}
