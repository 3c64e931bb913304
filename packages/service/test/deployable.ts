// A deployable for tests of what happens to its process: it does what BEHAVIOUR says.
import { open } from 'node:fs/promises'
import { Type } from 'typebox'
import { commonConfig, commonVariables, readEnvironment, run, Service } from '../src/index.ts'

const behaviours: Record<string, (service: Service) => void> = {
  quiet() {},
  flood({ log }) {
    const padding = 'x'.repeat(200)
    setInterval(() => {
      for (let line = 0; line < 200; line++) log.info({ padding }, 'flood')
    }, 5)
  },
  exception() {
    setTimeout(() => {
      throw new Error('nobody catches this')
    }, 50)
  },
  rejection() {
    setTimeout(() => void Promise.reject(new Error('nobody awaits this')), 50)
  },
  'stop hangs'(service) {
    service.add({ stop: () => new Promise(() => {}) })
  },
  'loop hangs'(service) {
    service.add({
      stop() {
        for (;;);
      },
    })
  },
  'thread pool hangs'() {
    // A pipe without a reader: opening it takes a thread of the pool and does not come back.
    void open(process.env.PIPE as string, 'w')
  },
}

await run(
  (environment) => {
    const values = readEnvironment(Type.Object({ ...commonVariables }), environment)
    const service = new Service({ name: 'fixture', config: commonConfig(values, 0, 'ADMIN_PORT') })
    behaviours[environment.BEHAVIOUR ?? '']?.(service)
    service.add({
      start() {
        process.send?.({ adminPort: service.adminPort })
      },
    })
    return service
  },
  { stopMarginMs: 500 },
)
