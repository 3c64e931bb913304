import { setTimeout as sleep } from 'node:timers/promises'
import type { GatewayCloseCodes } from '@carillon/codec'
import { commonSettings } from '@carillon/events'
import { openFilesMax, type Service } from '@carillon/service'
import { Announcer } from './announcer.ts'
import type { ClientConnection } from './client-connection.ts'
import { connectionsThatFit } from './connections-that-fit.ts'
import { serveControl } from './control.ts'
import { Gateway } from './gateway.ts'
import type { GatewayConfig } from './gateway-config.ts'
import type { Transport } from './transport.ts'

/**
 * Makes a service a gateway: clients reach it through a transport, discovery knows of it, operators can look
 * into it, and it drains in order. Answers the transport that `createTransport` makes.
 */
export function addGateway<C extends ClientConnection, T extends Transport>(
  service: Service,
  gatewayConfig: GatewayConfig,
  closeCodes: GatewayCloseCodes,
  createTransport: (gateway: Gateway<C>) => T,
): T {
  const { name, config, bus, clock, wheel, log, metrics, settings } = service
  const { publicUrl, limits, connectionAgeMaxMs } = gatewayConfig
  const shared = { clock, wheel, log, metrics }
  const gateway = new Gateway<C>({ service: name, limits, closeCodes, connectionAgeMaxMs, ...shared })
  const transport = createTransport(gateway)
  const announcer = new Announcer(bus, () => ({
    service: name,
    instance_id: service.instanceId,
    end_point: publicUrl ?? `ws://127.0.0.1:${transport.port}`,
    region: config.region,
    connections: gateway.connections.size,
    capacity: limits.connectionsMax,
    draining: service.draining,
    version: service.version,
    started_at: service.startedAtMs,
  }))

  service.add({
    async start() {
      await transport.start()
      announcer.start()
    },
    async drain(overMs) {
      announcer.announce()
      // Until discovery and the load balancer know of it, clients still arrive.
      await sleep(config.drainDelaySeconds * 1_000)
      gateway.stopAccepting()
      await gateway.drain(overMs)
    },
    async stop() {
      announcer.stop()
      gateway.stopAccepting()
      for (const connection of gateway.connections) connection.terminate()
      await transport.stop()
    },
  })

  // Beyond the limit of open files, the system would refuse clients and the connection to NATS alike.
  const openFiles = openFilesMax()
  const fits = connectionsThatFit(openFiles)
  let announced = limits.connectionsMax
  settings.follow(commonSettings.maxConnections, limits.connectionsMax, (value) => {
    limits.connectionsMax = Math.min(value, fits)
    if (value > fits) {
      log.warn(
        { connections_max: value, open_files_max: openFiles, lowered_to: fits },
        'the limit of open files leaves room for fewer connections',
      )
    }
    if (limits.connectionsMax !== announced) announcer.announce()
    announced = limits.connectionsMax
  })
  serveControl({
    bus,
    service: name,
    instanceId: service.instanceId,
    connections: gateway.connections,
    disconnected: closeCodes.disconnected,
  })
  return transport
}
