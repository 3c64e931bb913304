import type { Listener } from '@carillon/gateway'

/** How many subscriptions all connections have together. */
export function subscriptionsOf(listener: Listener): number {
  let count = 0
  for (const connection of listener.connections) count += connection.report().subscriptions.length
  return count
}

/** Resident bytes and the heap's after a full collection, and how many connections there are. */
export function memoryOf(listener: Listener) {
  global.gc?.()
  const { rss, heapUsed } = process.memoryUsage()
  return { rss, heapUsed, connections: listener.connections.size }
}
