import { type OverflowPolicy, Topics } from '@carillon/fanout'
import type { Service } from '@carillon/service'

/** Topics whose publish-to-write latency is measured, where publishers say when they published. */
export function createTopics(service: Service, policy: OverflowPolicy): Topics {
  const latency = service.metrics.histogram(
    'publish_to_write_seconds',
    'From the publisher to the sockets, by the Carillon-Published-At header',
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
  )
  return new Topics({
    policy,
    onFlushed(publishedAtMs) {
      const now = Date.now()
      // Another machine's clock may be ahead of ours.
      for (const at of publishedAtMs) latency.observe(Math.max(0, now - at) / 1_000)
    },
  })
}
