import { create, readConfig } from '@carillon/campus-socketio'
import { socketIoEvent } from '@carillon/codec'
import { Topics } from '@carillon/fanout'
import { instancesByConstructor } from '../heap.ts'
import { profiling } from '../profile.ts'
import { serve } from '../remote.ts'
import { Publisher } from './publisher.ts'

/** The real campus-socketio, with an ear for the bench. Its heartbeats are moved out of the way. */
const config = readConfig({
  ...process.env,
  CAMPUS_LISTEN_PORT: '0',
  CAMPUS_ADMIN_PORT: '0',
  LISTEN_HOST: '127.0.0.1',
  LOG_LEVEL: 'error',
  CAMPUS_MAX_OUTBOX_BYTES: String(64 * 1_048_576),
  CAMPUS_MAX_REQUESTS_PER_SECOND: '100000',
})
const service = create({ ...config, pingIntervalMs: 3_600_000 })
await service.start()
const publisher = new Publisher()
const { connections, counters } = service.transport.gateway
/** A room of everybody, beside those of NATS: an event from its bytes on. */
const topics = new Topics({ policy: 'disconnect' })

serve({
  ...profiling(),
  ports: () => ({ port: service.transport.port, control: publisher.port }),
  ready: () => service.bus.connected,
  settle: () => service.bus.roundTrip(),
  identified: () => [...connections].filter(({ identity }) => identity !== undefined).length,
  joinAll: () => {
    for (const connection of connections) {
      topics.subscribe('room', connection.outbox)
      // They are in no room of the service's own: their time to join one must not end.
      connection.settle()
    }
    return connections.size
  },
  counters: () => ({ ...counters, onReleased: undefined }),
  run: (options: { events: number; burst: number; message: string; window: number }) =>
    publisher.run((message) => topics.publish('room', socketIoEvent('m', Buffer.from(message))), options),
  memory: () => {
    global.gc?.()
    return { rss: process.memoryUsage().rss, connections: connections.size }
  },
  heap: () => {
    global.gc?.()
    return instancesByConstructor()
  },
})
