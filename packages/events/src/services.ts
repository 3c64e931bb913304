/** The services that clients connect to. */
export const gatewayServices = [
  'auction-push',
  'voice-room-ws',
  'quote-interact',
  'im-gateway',
  'campus-socketio',
] as const

/** Every service that operators look into. */
export const observedServices = ['endpoint-discovery', ...gatewayServices, 'im-messages'] as const

export type GatewayService = (typeof gatewayServices)[number]
export type ObservedService = (typeof observedServices)[number]

export function isGatewayService(name: string): name is GatewayService {
  return (gatewayServices as readonly string[]).includes(name)
}
