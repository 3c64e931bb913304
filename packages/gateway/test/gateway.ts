import { gatewayCloseCodes, textFrame } from '@carillon/codec'
import { createLogger, Metrics, systemClock, type TimingWheel } from '@carillon/service'
import {
  type Connection,
  defaultLimits,
  Gateway,
  type GatewayOptions,
  type Limits,
  Listener,
  type ListenerOptions,
} from '../src/index.ts'

/** A gateway without a service around it. */
export function testGateway(
  wheel: TimingWheel,
  limits: Partial<Limits> = {},
  options: Partial<Pick<GatewayOptions, 'clock' | 'metrics'>> = {},
): Gateway<Connection> {
  return new Gateway<Connection>({
    service: 'test',
    limits: { ...defaultLimits, ...limits },
    closeCodes: gatewayCloseCodes,
    clock: systemClock,
    wheel,
    log: createLogger('test', 'test', 'fatal'),
    metrics: new Metrics('test'),
    ...options,
  })
}

/** Its listener on a free port, not started yet: errors are the message as text, and silence is no matter. */
export function testListener(gateway: Gateway<Connection>, options: Partial<ListenerOptions> = {}): Listener {
  return new Listener(gateway, {
    host: '127.0.0.1',
    port: 0,
    portVariable: 'TEST_PORT',
    trustedProxies: { type: 'none' },
    errorFrame: ({ message }) => textFrame(message),
    idleTimeoutMs: () => 0,
    ...options,
  })
}
