import type { Metrics } from '@carillon/service'
import type { CatchUp } from './catch-up.ts'
import type { Conversations } from './conversations.ts'
import type { Notices } from './notices.ts'
import type { Requests } from './requests.ts'
import type { SessionEvents } from './session-events.ts'
import type { Users } from './users.ts'

interface Described {
  readonly users: Users
  readonly conversations: Conversations
  readonly requests: Requests
  readonly notices: Notices
  readonly catchUp: CatchUp
  readonly sessionEvents: SessionEvents
}

/** What operators see of this service, beside what every gateway shows. */
export function describeTo(metrics: Metrics, parts: Described): void {
  const { users, conversations, requests, notices, catchUp, sessionEvents } = parts
  metrics.gaugeOf('im_users', 'Users with a connection here', () => users.size)
  metrics.gaugeOf(
    'followed_subjects',
    'NATS subjects that connections here follow',
    () => users.size + conversations.size,
  )
  metrics.gaugeOf('im_requests_in_flight', 'Requests that wait for an answer', () => requests.size)
  metrics.gaugeOf('im_notices_in_flight', 'Notices sent and not acknowledged', () => {
    let count = 0
    for (const user of users) for (const { notices } of user.clients) count += notices.inFlight.size
    return count
  })
  metrics.countOf('im_notices_sent_total', 'Notices sent to devices', () => notices.sent)
  metrics.countOf('im_notices_redelivered_total', 'Of those, sent before', () => notices.redelivered)
  metrics.countOf(
    'im_caught_up_total',
    'Messages pushed because they may have been missed',
    () => catchUp.pushed,
  )
  metrics.countOf(
    'im_session_events_dropped_total',
    'Session events that could not be published',
    () => sessionEvents.dropped,
  )
}
