import type { GatewayCloseCodes } from '@carillon/codec'
import type { Service } from '@carillon/service'
import { addGateway } from '../add-gateway.ts'
import { createDirectWriter } from '../create-direct-writer.ts'
import type { GatewayConfig } from '../gateway-config.ts'
import type { Connection } from './connection.ts'
import { Listener, type ListenerOptions } from './listener.ts'

export interface WebSocketGatewayOptions
  extends Pick<ListenerOptions, 'errorFrame' | 'idleTimeoutMs' | 'pingIntervalMs'> {
  readonly closeCodes: GatewayCloseCodes
}

/** Makes a service a gateway whose clients come over WebSocket. */
export function addWebSocketGateway(
  service: Service,
  config: GatewayConfig,
  { closeCodes, ...options }: WebSocketGatewayOptions,
): Listener {
  const { host, trustedProxies } = service.config
  const { port, portVariable } = config
  const directWriter = createDirectWriter(service, config)
  return addGateway<Connection, Listener>(
    service,
    config,
    closeCodes,
    (gateway) =>
      new Listener(gateway, {
        host,
        port,
        portVariable,
        trustedProxies,
        ...options,
        ...(directWriter && { directWriter }),
      }),
  )
}
