export type { PublishOptions } from '@carillon/fanout'
export { addGateway } from './add-gateway.ts'
export { authConfig, authProblems, authVariables } from './auth-config.ts'
export { authenticateByToken } from './authenticate.ts'
export type { ClientConnection, Identity } from './client-connection.ts'
export { createDirectWriter } from './create-direct-writer.ts'
export { DirectWriter, loadSend } from './direct-writer.ts'
export { closeTimes } from './drain.ts'
export { Gateway, type GatewayOptions, type Refusal } from './gateway.ts'
export { type GatewayConfig, gatewayConfig, gatewayVariables } from './gateway-config.ts'
export { defaultLimits, type Limits, RateLimit, ViolationCounter } from './limits.ts'
export { Registry } from './registry.ts'
export { SubscriptionQuota, type SubscriptionQuotaOptions } from './subscription-quota.ts'
export { createTopics } from './topics.ts'
export type { Transport } from './transport.ts'
export { type UserShare, UserShares } from './user-share.ts'
export { addWebSocketGateway, type WebSocketGatewayOptions } from './websocket/add-web-socket-gateway.ts'
export { Connection } from './websocket/connection.ts'
export type { Handler } from './websocket/connection-context.ts'
export type { LateAuthentication, LateResult } from './websocket/late-authentication.ts'
export {
  type Authenticate,
  type Authentication,
  Listener,
  type ListenerOptions,
  type UpgradeRequest,
} from './websocket/listener.ts'
