import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ListenerCloseCodes, ProtocolError } from '@carillon/codec'
import { commonSettings } from '@carillon/events'
import { Announcer } from './announcer.ts'
import { serveControl } from './control.ts'
import type { GatewayConfig } from './gateway-config.ts'
import { Listener } from './listener/listener.ts'
import type { Service } from './service.ts'

export interface GatewayOptions {
  readonly closeCodes: ListenerCloseCodes
  readonly errorFrame: (error: ProtocolError) => Uint8Array
  readonly idleTimeoutMs: () => number
}

/**
 * Makes a service a gateway: a WebSocket listener that discovery knows of, that operators can look into, and
 * that drains in order.
 */
export function addGateway(service: Service, gateway: GatewayConfig, options: GatewayOptions): Listener {
  const { name, config, bus, clock, wheel, log, metrics, settings } = service
  const { host, trustProxy, drainDelaySeconds } = config
  const { port, portVariable, publicUrl, limits } = gateway
  const listener = new Listener({
    ...options,
    ...{ service: name, host, port, portVariable, trustProxy, limits, clock, wheel, log, metrics },
  })
  const announcer = new Announcer(bus, () => ({
    service: name,
    instance_id: service.instanceId,
    end_point: publicUrl ?? `ws://127.0.0.1:${listener.port}`,
    region: config.region,
    connections: listener.connections.size,
    capacity: limits.connectionsMax,
    draining: service.draining,
    version: VERSION,
    started_at: service.startedAtMs,
  }))

  service.add({
    async start() {
      await listener.start()
      announcer.start()
    },
    async drain(overMs) {
      announcer.announce()
      // Until discovery and the load balancer have heard of it, clients still arrive.
      await sleep(drainDelaySeconds * 1_000)
      listener.stopAccepting()
      await listener.drain(overMs)
    },
    async stop() {
      announcer.stop()
      await listener.stop()
    },
  })

  let announced = limits.connectionsMax
  settings.follow(commonSettings.maxConnections, limits.connectionsMax, (value) => {
    limits.connectionsMax = value
    if (value !== announced) announcer.announce()
    announced = value
  })
  serveControl({
    bus,
    service: name,
    instanceId: service.instanceId,
    connections: listener.connections,
    disconnected: options.closeCodes.disconnected,
  })
  return listener
}

const VERSION: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version
