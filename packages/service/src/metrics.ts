import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

const PREFIX = 'carillon_'
const SAMPLE_NAME_MAX = 512

interface Sample {
  readonly metricName?: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

/** As the text format of Prometheus has it: `name{code="4001"}`. */
function sampleName(name: string, labels: Sample['labels']): string {
  const printed = Object.entries(labels).map(([label, value]) => `${label}=${JSON.stringify(String(value))}`)
  return printed.length === 0 ? name : `${name}{${printed.join(',')}}`
}

/** A service's metrics, labelled with its name. Labels never hold ids of users, topics or tokens. */
export class Metrics {
  readonly registry = new Registry()

  constructor(service: string) {
    this.registry.setDefaultLabels({ service })
    // Event-loop lag, memory, CPU and garbage collection.
    collectDefaultMetrics({ register: this.registry })
  }

  counter<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return new Counter({ name: PREFIX + name, help, labelNames, registers: [this.registry] })
  }

  /** A counter that is kept elsewhere as a plain number, read when the metrics are. */
  countOf(name: string, help: string, read: () => number): void {
    const counter: Counter = new Counter({
      name: PREFIX + name,
      help,
      registers: [this.registry],
      collect: () => {
        counter.reset()
        counter.inc(read())
      },
    })
  }

  /** A gauge that is read when the metrics are. */
  gaugeOf(name: string, help: string, read: () => number): void {
    const gauge: Gauge = new Gauge({
      name: PREFIX + name,
      help,
      registers: [this.registry],
      collect: () => gauge.set(read()),
    })
  }

  /** Gauges of one name that a label tells apart, read when the metrics are. */
  gaugesOf(
    name: string,
    help: string,
    label: string,
    read: () => Iterable<readonly [label: string, value: number]>,
  ): void {
    const gauge = new Gauge({
      name: PREFIX + name,
      help,
      labelNames: [label],
      registers: [this.registry],
      collect: () => {
        gauge.reset()
        for (const [of, value] of read()) gauge.set({ [label]: of }, value)
      },
    })
  }

  /**
   * The present values of everything that is measured here, by the names and labels under which `/metrics` prints
   * them, without the service's label; as many as fit into so many bytes of JSON. What the runtime measures of itself is
   * left out: some of it costs system calls to read.
   */
  async samples(
    bytesMax: number,
  ): Promise<{ readonly samples: Record<string, number>; readonly omitted: number }> {
    const samples: Record<string, number> = {}
    let omitted = 0
    let bytes = 0
    for (const metric of this.registry.getMetricsAsArray()) {
      if (!metric.name.startsWith(PREFIX)) continue
      const { values } = await (metric as unknown as Gauge).get()
      for (const { metricName, labels, value } of values as readonly Sample[]) {
        if (!Number.isFinite(value)) continue
        const name = sampleName(metricName ?? metric.name, labels)
        bytes += Buffer.byteLength(name) + 24
        if (name.length > SAMPLE_NAME_MAX || bytes > bytesMax) omitted += 1
        else samples[name] = value
      }
    }
    return { samples, omitted }
  }

  histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name: PREFIX + name, help, buckets, registers: [this.registry] })
  }
}
