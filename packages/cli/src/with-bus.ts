import { setTimeout as sleep } from 'node:timers/promises'
import { Bus, type BusOptions } from '@carillon/bus'
import { inboxPrefix } from '@carillon/events'
import { natsUrl } from './fleet/fleet-state.ts'
import { ToolError } from './tool-error.ts'

const CONNECT_TIMEOUT_MS = 3_000

/** Runs with a connected bus and closes it. @throws {ToolError} where NATS is not reachable. */
export async function withBus<T>(
  body: (bus: Bus) => Promise<T>,
  options: Pick<BusOptions, 'replicas'> = {},
): Promise<T> {
  const url = natsUrl()
  const { NATS_USER: user, NATS_PASSWORD: password, NATS_CREDS_FILE: credsFile } = process.env
  const prefix = process.env.NATS_INBOX_PREFIX || (user && inboxPrefix(user))
  const bus = new Bus({
    url,
    name: 'carillon tool',
    ...(user && { user }),
    ...(password && { password }),
    ...(credsFile && { credsFile }),
    ...(prefix && { inboxPrefix: prefix }),
    ...options,
  })
  bus.start()
  try {
    const deadline = performance.now() + CONNECT_TIMEOUT_MS
    while (!bus.connected) {
      if (performance.now() > deadline)
        throw new ToolError(`NATS is not reachable at ${url}; is it running? (npm start, or set NATS_URL)`)
      await sleep(20)
    }
    return await body(bus)
  } finally {
    await bus.stop()
  }
}
