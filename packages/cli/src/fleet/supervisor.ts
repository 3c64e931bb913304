// The process that all others of a fleet are children of. It outlives the starter for as long as it takes to stop
// them: nats-server would otherwise go on for ever when the starter is killed. It runs in a process group of its
// own, so that the starter can kill whatever is left should the supervisor be the one that dies.
import { Child } from './child.ts'
import type { FromSupervisor, ProcessPlan, ToSupervisor } from './messages.ts'

const services: Child[] = []
const others: Child[] = []
let stopping: Promise<void> | undefined

function report(message: FromSupervisor): void {
  if (process.connected) process.send?.(message, () => {})
}

function start(plan: ProcessPlan): void {
  const { name, isService } = plan
  const child = new Child(plan, {
    started: (instanceId) => report({ type: 'started', name, instanceId }),
    stderr: (text) => report({ type: 'stderr', name, text }),
    ended(code) {
      if (stopping === undefined) report({ type: 'ended', name, code })
    },
  })
  if (isService) services.push(child)
  else others.push(child)
}

function stop(): Promise<void> {
  stopping ??= (async () => {
    // The services first: they still have something to say to NATS.
    await Promise.all(services.map((child) => child.stop()))
    await Promise.all(others.map((child) => child.stop()))
    process.exit(0)
  })()
  return stopping
}

process.on('message', (message: ToSupervisor) => {
  if (message.type === 'stop') void stop()
  else if (stopping === undefined) for (const plan of message.processes) start(plan)
})
process.on('disconnect', stop)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
// The terminal may be gone.
process.stderr.on('error', () => {})
