import type { CloseCode } from '@carillon/codec'
import { expect, test } from '@jest/globals'
import type { ClientConnection } from './client-connection.ts'
import { closeEvenly } from './drain.ts'
import { Registry } from './registry.ts'

const code: CloseCode = { code: 1012, reason: 'service restart', reconnect: true }

/** Connections that note when they are closed; each `unresponsive` one does not answer. */
function setUp(count: number, unresponsive: (index: number) => boolean = () => false) {
  const registry = new Registry<ClientConnection>()
  const closedAtMs: number[] = []
  let terminated = 0
  const startedAtMs = performance.now()
  for (let i = 0; i < count; i++) {
    const connection: ClientConnection = {
      identity: { userId: String(i) },
      remoteAddress: '127.0.0.1',
      queuedBytes: 0,
      close() {
        closedAtMs.push(performance.now() - startedAtMs)
        if (!unresponsive(i)) registry.remove(connection)
      },
      terminate() {
        terminated += 1
        registry.remove(connection)
      },
      report: () => {
        throw new Error('nobody asks')
      },
    }
    registry.add(connection)
  }
  return { registry, closedAtMs, terminated: () => terminated }
}

test('50,000 connections are closed evenly, over the time that was given and not much more', async () => {
  const { registry, closedAtMs } = setUp(50_000)
  const startedAtMs = performance.now()
  await closeEvenly(registry, code, 1_000, 5_000)
  const tookMs = performance.now() - startedAtMs
  expect(closedAtMs).toHaveLength(50_000)
  expect(tookMs).toBeGreaterThan(950)
  // A timer for each took six times as long for a tenth of them.
  expect(tookMs).toBeLessThan(4_000)
  const before = (ms: number) => closedAtMs.filter((at) => at < ms).length
  expect(before(500)).toBeLessThan(30_000)
  expect(before(250)).toBeLessThan(18_000)
})

test('who does not answer is cut off, and nobody else', async () => {
  const { registry, closedAtMs, terminated } = setUp(100, (index) => index % 10 === 0)
  await closeEvenly(registry, code, 10, 50)
  expect([closedAtMs.length, terminated(), registry.size]).toEqual([100, 10, 0])
})

test('without a time, and without connections, it ends at once', async () => {
  const { registry, closedAtMs } = setUp(3)
  await closeEvenly(registry, code, 0, 1_000)
  expect([closedAtMs.length, registry.size]).toEqual([3, 0])
  await closeEvenly(registry, code, 1_000, 1_000)
})
