import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import { instancesByConstructor } from '../heap.ts'
import { serve } from '../remote.ts'
import { Publisher } from './publisher.ts'

/** The peer that everybody writes first: `ws` and a loop. Also the bare server that memory is compared with. */
const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false, backlog: 4_096 })
const publisher = new Publisher()
server.on('connection', (socket) => socket.on('error', () => {}))

serve({
  ports: () => ({ port: (server.address() as AddressInfo).port, control: publisher.port }),
  run: (options: {
    events: number
    burst: number
    message: string
    window: number
    as?: 'string' | 'buffer'
  }) => {
    const shared = Buffer.from(options.message)
    const publish =
      options.as === 'buffer'
        ? () => {
            for (const client of server.clients) client.send(shared, { binary: false })
          }
        : (message: string) => {
            for (const client of server.clients) client.send(message)
          }
    return publisher.run(publish, options)
  },
  heap: () => {
    global.gc?.()
    return instancesByConstructor()
  },
  memory: () => {
    global.gc?.()
    return { rss: process.memoryUsage().rss, connections: server.clients.size }
  },
})
