import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server } from 'socket.io'
import { instancesByConstructor } from '../heap.ts'
import { serve } from '../remote.ts'
import { Publisher } from './publisher.ts'

/** Socket.IO as everybody writes it, of the same version and for the same clients, with everybody in one room. */
const http = createServer().listen(0, '127.0.0.1', 4_096)
const io = new Server(http, { allowEIO3: true, pingInterval: 3_600_000 })
io.on('connection', (socket) => {
  socket.on('authentication', () => socket.emit('auth:ok'))
  socket.join('room')
})
const publisher = new Publisher()

serve({
  ports: () => ({ port: (http.address() as AddressInfo).port, control: publisher.port }),
  joinAll: () => io.engine.clientsCount,
  run: (options: { events: number; burst: number; message: string; window: number }) => {
    const body: unknown = JSON.parse(options.message)
    return publisher.run(() => io.to('room').emit('m', body), options)
  },
  memory: () => {
    global.gc?.()
    return { rss: process.memoryUsage().rss, connections: io.engine.clientsCount }
  },
  heap: () => {
    global.gc?.()
    return instancesByConstructor()
  },
})
