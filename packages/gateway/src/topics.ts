import { control, NAMED_FOLLOWERS_MAX } from '@carillon/events'
import { type OverflowPolicy, type PublishOptions, Topics } from '@carillon/fanout'
import type { Service } from '@carillon/service'
import { startWrite, tracing } from '@carillon/tracing'
import type { ClientConnection } from './client-connection.ts'

/** Topics whose messages are followed to the sockets by the trace that they belong to. */
class TracedTopics extends Topics {
  override publish(name: string, frame: Uint8Array, options: PublishOptions = {}): void {
    if (!tracing.enabled) return super.publish(name, frame, options)
    const onWritten = startWrite(frame.length)
    super.publish(name, frame, onWritten ? { ...options, onWritten } : options)
  }
}

/**
 * The topics that a service's connections follow: operators can ask who follows which, and the publish-to-write latency
 * is measured where publishers say when they published.
 */
export function createTopics(service: Service, policy: OverflowPolicy): Topics {
  const latency = service.metrics.histogram(
    'publish_to_write_seconds',
    'From the publisher to the sockets, by the Carillon-Published-At header',
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
  )
  const topics = new TracedTopics({
    policy,
    onFlushed(publishedAtMs) {
      const now = Date.now()
      // Another machine's clock may be ahead of ours.
      for (const at of publishedAtMs) latency.observe(Math.max(0, now - at) / 1_000)
    },
  })
  const { bus, name, instanceId } = service
  bus.serve(control.followers, { service: name }, ({ payload: { topic } }) => {
    const followers = topics.subscribers(topic)
    return { instance_id: instanceId, followers: followers.size, user_ids: userIdsOf(followers) }
  })
  return topics
}

/** Whose connections these are, as many users as an answer names. */
function userIdsOf(followers: ReturnType<Topics['subscribers']>): string[] {
  const users = new Set<string>()
  for (const { sink } of followers) {
    // What an outbox writes to is a connection here.
    const { identity } = sink as Partial<ClientConnection>
    if (identity !== undefined) users.add(identity.userId)
    if (users.size === NAMED_FOLLOWERS_MAX) break
  }
  return [...users]
}
