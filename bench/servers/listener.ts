import type { Listener } from '@carillon/gateway'

/** How many subscriptions all connections have together. */
export function subscriptionsOf(listener: Listener): number {
  let count = 0
  for (const connection of listener.connections) count += connection.report().subscriptions.length
  return count
}

/** Resident bytes after a full collection, and how many connections there are. */
export function memoryOf(listener: Listener) {
  global.gc?.()
  return { rss: process.memoryUsage().rss, connections: listener.connections.size }
}
