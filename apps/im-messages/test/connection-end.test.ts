import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { classify } from '../src/database/failure.ts'
import { postgresEngine } from '../src/database/postgres.ts'

/** A message of PostgreSQL's protocol. */
const message = (type: string, ...parts: (number[] | string)[]) => {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part as string)))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(body.length + 4)
  return Buffer.concat([Buffer.from(type), length, body])
}
const READY = Buffer.concat([message('R', [0, 0, 0, 0]), message('Z', 'I')])
const CRASH = message(
  'E',
  'SFATAL\0VFATAL\0C57P01\0Mterminating connection due to unexpected postmaster exit\0\0',
)

let server: Server
const sockets = new Set<Socket>()
beforeEach(async () => {
  // Ends each connection in the packet that says that it is ready, as a server may that dies just then.
  server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('data', () => socket.end(Buffer.concat([READY, CRASH])))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
})

test('a connection that ends while it is handed over is an error of its statement, not of the process', async () => {
  const { port } = server.address() as AddressInfo
  const engine = postgresEngine({ url: `postgres://x@127.0.0.1:${port}/x`, connectionsMax: 2 })
  for (let i = 0; i < 5; i++) {
    const connection = await engine.pool.connect()
    const error = await connection.query('select 1', []).catch((reason: unknown) => reason)
    expect(classify(error)).toBe('away')
    expect(String(error)).toContain('unexpected postmaster exit')
    connection.release()
  }
  await engine.close()
})
