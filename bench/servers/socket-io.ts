import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server } from 'socket.io'
import { serve } from '../remote.ts'
import { Publisher } from './publisher.ts'

/** Socket.IO, broadcasting to everybody. Its heartbeats are moved out of the way. */
const http = createServer().listen(0, '127.0.0.1', 4_096)
const io = new Server(http, { transports: ['websocket'], pingInterval: 3_600_000, perMessageDeflate: false })
const publisher = new Publisher()

serve({
  ports: () => ({ port: (http.address() as AddressInfo).port, control: publisher.port }),
  run: (options: { events: number; burst: number; message: string; window: number }) =>
    publisher.run((message) => io.emit('m', message), options),
})
