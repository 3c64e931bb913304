export { authenticateByToken } from './authenticate.ts'
export { type Clock, systemClock } from './clock.ts'
export {
  authConfig,
  authProblems,
  authVariables,
  type CommonConfig,
  commonConfig,
  commonVariables,
} from './common-config.ts'
export { type Environment, EnvironmentError, env, readEnvironment } from './environment.ts'
export { addGateway, type GatewayOptions } from './gateway.ts'
export { type GatewayConfig, gatewayConfig, gatewayVariables } from './gateway-config.ts'
export { createTopics } from './latency.ts'
export { Connection, type Handler, type Identity } from './listener/connection.ts'
export { defaultLimits, type Limits } from './listener/limits.ts'
export { type Authenticate, type Authentication, Listener, type UpgradeRequest } from './listener/listener.ts'
export { listen, PortError } from './listening.ts'
export { createLogger, type Logger } from './logger.ts'
export { Metrics } from './metrics.ts'
export { run } from './run.ts'
export { type Overrides, type Part, Service } from './service.ts'
export { Deadline, type Timed, TimingWheel } from './timing-wheel.ts'
