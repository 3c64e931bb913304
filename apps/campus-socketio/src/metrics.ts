import type { Metrics } from '@carillon/service'
import type { DeviceMetrics, LiveDevice } from './live-device.ts'

export interface CampusMetrics extends DeviceMetrics {
  durable(what: 'sent' | 'acked' | 'rejected' | 'expired' | 'refused'): void
}

/** What operators see of devices, live pushes and durable events. */
export function createDeviceMetrics(metrics: Metrics, live: ReadonlyMap<string, LiveDevice>): CampusMetrics {
  metrics.gaugeOf('campus_live_devices', 'Authenticated devices connected here', () => live.size)
  const pushes = metrics.counter(
    'campus_pushes_total',
    'Live pushes: acked, rejected by the device, timeout',
    ['status'],
  )
  const latency = metrics.histogram(
    'campus_push_seconds',
    'From a live push to the device’s answer',
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  )
  const durable = metrics.counter(
    'campus_durable_total',
    'Durable events: sent, acked, rejected by the device, expired, refused for their payload',
    ['what'],
  )
  return {
    pushed(status, latencyMs) {
      pushes.inc({ status })
      if (status === 'acked') latency.observe(latencyMs / 1_000)
    },
    durable: (what) => durable.inc({ what }),
  }
}
