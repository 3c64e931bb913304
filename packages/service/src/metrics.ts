import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** A service's metrics, labelled with its name. Labels never hold ids of users, topics or tokens. */
export class Metrics {
  readonly registry = new Registry()

  constructor(service: string) {
    this.registry.setDefaultLabels({ service })
    // Event-loop lag, memory, CPU and garbage collection.
    collectDefaultMetrics({ register: this.registry })
  }

  counter<L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return new Counter({ name: `carillon_${name}`, help, labelNames, registers: [this.registry] })
  }

  /** A counter that is kept elsewhere as a plain number, read when the metrics are. */
  countOf(name: string, help: string, read: () => number): void {
    const counter: Counter = new Counter({
      name: `carillon_${name}`,
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
      name: `carillon_${name}`,
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
      name: `carillon_${name}`,
      help,
      labelNames: [label],
      registers: [this.registry],
      collect: () => {
        gauge.reset()
        for (const [of, value] of read()) gauge.set({ [label]: of }, value)
      },
    })
  }

  histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name: `carillon_${name}`, help, buckets, registers: [this.registry] })
  }
}
