import type { Bus } from '@carillon/bus'
import { control, gatewayServices } from '@carillon/events'
import type { DisconnectRequest, DisconnectResult } from '../api.ts'

/** Closes a user's connections on every instance of one service, or of all. Who does not answer in time is left out. */
export async function disconnect(bus: Bus, request: DisconnectRequest): Promise<DisconnectResult> {
  const { service, ...payload } = request
  const services = service === undefined ? gatewayServices : [service]
  const answers = await Promise.all(
    services.map(async (each) =>
      (await bus.requestMany(control.disconnect, { service: each }, payload)).map((answer) => ({
        service: each,
        ...answer,
      })),
    ),
  )
  const instances = answers
    .flat()
    .map(({ service, instance_id, closed }) => ({ service, instance_id, closed }))
  return { closed: instances.reduce((sum, { closed }) => sum + closed, 0), instances }
}
