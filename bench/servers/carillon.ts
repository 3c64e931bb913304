import { spliceTextFrame } from '@carillon/codec'
import { Topics } from '@carillon/fanout'
import { type Connection, DirectWriter, defaultLimits, Gateway, Listener, loadSend } from '@carillon/gateway'
import { createLogger, Metrics, systemClock, TimingWheel } from '@carillon/service'
import { profiling } from '../profile.ts'
import { serve } from '../remote.ts'
import { holding } from './holding.ts'
import { Publisher } from './publisher.ts'

/** Carillon's own way: the real listener, and the real topics. */
const wheel = new TimingWheel(systemClock)
const none = { code: 1000, reason: '', reconnect: false }
const gateway = new Gateway<Connection>({
  service: 'bench',
  limits: { ...defaultLimits, outboxBytesMax: 64 * 1_048_576, connectionsPerUserMax: 100_000 },
  closeCodes: {
    expired: none,
    idle: none,
    slowConsumer: none,
    violations: none,
    draining: none,
    disconnected: none,
  },
  clock: systemClock,
  wheel,
  log: createLogger('bench', 'bench', 'error'),
  metrics: new Metrics('bench'),
})
const send = process.env.DIRECT_WRITES === 'false' ? undefined : loadSend()
const listener = new Listener(gateway, {
  host: '127.0.0.1',
  port: 0,
  portVariable: '',
  trustedProxies: { type: 'none' },
  errorFrame: () => Buffer.alloc(0),
  idleTimeoutMs: () => 0,
  ...(send && { directWriter: new DirectWriter(send) }),
})
const topics = new Topics({ policy: 'disconnect' })
listener.accept(
  ['/'],
  () => ({ ok: true, identity: { userId: 'u' } }),
  (connection) => {
    topics.subscribe('t', connection.outbox)
    return { text() {}, closed: () => topics.unsubscribe('t', connection.outbox) }
  },
)
await listener.start()
const publisher = new Publisher()

serve({
  ports: () => ({ port: listener.port, control: publisher.port }),
  run: (options: { events: number; burst: number; message: string; window: number }) =>
    publisher.run((message) => topics.publish('t', spliceTextFrame(Buffer.from(message))), options),
  ...profiling(),
  ...holding(),
})
