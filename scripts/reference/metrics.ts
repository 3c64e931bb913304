import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ServiceSource } from './services.ts'
import { table } from './table.ts'

export interface MetricSource {
  readonly name: string
  readonly type: string
  readonly labels: readonly string[]
  readonly help: string
}

/** The inside of prom-client's metrics, which all have it. */
interface RegisteredMetric {
  readonly name: string
  readonly type: string
  readonly help: string
  readonly labelNames: readonly string[]
}

/** What every service offers on /metrics, by service: from its registry, without starting it. */
export function metricsOf(sources: readonly ServiceSource[]): Map<string, MetricSource[]> {
  const home = mkdtempSync(join(tmpdir(), 'carillon-reference-'))
  try {
    return new Map(
      sources.map(({ name, create }) => {
        const { registry } = create({ CARILLON_HOME: home, LOG_LEVEL: 'fatal' }).metrics
        const registered = registry.getMetricsAsArray() as unknown as RegisteredMetric[]
        return [
          name,
          registered.map((metric) => ({ ...metric, labels: metric.labelNames }) satisfies MetricSource),
        ]
      }),
    )
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

/** Every metric of every service: name, type, labels. Each has the label `service` besides. */
export function metricsText(sources: readonly ServiceSource[]): string {
  const metrics = new Map<string, MetricSource & { services: string[] }>()
  for (const [service, offered] of metricsOf(sources)) {
    for (const metric of offered) {
      const known = metrics.get(metric.name)
      if (known) known.services.push(service)
      else metrics.set(metric.name, { ...metric, services: [service] })
    }
  }
  const gateways = sources.filter(({ closeCodes }) => closeCodes).map(({ name }) => name)
  const servicesText = (services: readonly string[]) => {
    if (services.length === sources.length) return 'all'
    return services.join() === gateways.join() ? 'all with connections' : services.join(', ')
  }
  // The fleet's own first, then the process's.
  const sorted = [...metrics.values()].sort(
    (a, b) =>
      Number(b.name.startsWith('carillon_')) - Number(a.name.startsWith('carillon_')) ||
      a.name.localeCompare(b.name, 'en'),
  )
  return table(
    ['metric', 'type', 'labels', 'services', 'meaning'],
    sorted.map(({ name, type, labels, services, help }) => [
      `\`${name}\``,
      type,
      labels.map((label) => `\`${label}\``).join(', ') || '–',
      servicesText(services),
      help,
    ]),
  )
}
