import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { serve } from '../remote.ts'

/** Several processes of the real auction-push behind one port, which Node's cluster module shares among them. */
if (cluster.isPrimary) {
  cluster.setupPrimary({ execArgv: process.execArgv })
  const workers = Array.from({ length: Number(process.env.PROCESSES) }, () => cluster.fork())
  // What is sent to a worker that does not listen yet is lost.
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  let lastId = 0
  const ask = <T>(worker: Worker, method: string) =>
    new Promise<T>((resolve, reject) => {
      const id = ++lastId
      const listen = (message: { id?: number; result?: T; error?: string }) => {
        if (message.id !== id) return
        worker.off('message', listen)
        if (message.error === undefined) resolve(message.result as T)
        else reject(new Error(message.error))
      }
      worker.on('message', listen)
      worker.send({ id, method })
    })
  const askAll = <T>(method: string) => Promise.all(workers.map((worker) => ask<T>(worker, method)))
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
  serve({
    ports: () => ask(workers[0] as Worker, 'ports'),
    ready: async () => (await askAll<boolean>('ready')).every(Boolean),
    settle: () => askAll('settle'),
    subscriptions: async () => sum(await askAll<number>('subscriptions')),
    connections: () => askAll<number>('connections'),
    async cpuUs() {
      const { user, system } = process.cpuUsage()
      return sum(await askAll<number>('cpuUs')) + user + system
    },
  })
} else {
  await import('./auction.ts')
  process.send?.('listens')
}
