import { eventually } from '@carillon/testkit'
import type { create } from '../src/server.ts'

/** It takes requests: it has its database and NATS, and NATS has its subscriptions. */
export async function ready(service: ReturnType<typeof create>): Promise<void> {
  await eventually(() => service.database.availability.available, 60_000)
  await eventually(() => service.bus.roundTrip(), 60_000)
}
