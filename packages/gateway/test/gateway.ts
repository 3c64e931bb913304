import { gatewayCloseCodes, textFrame } from '@carillon/codec'
import { createLogger, Metrics, systemClock, type TimingWheel } from '@carillon/service'
import {
  type Connection,
  DirectWriter,
  defaultLimits,
  Gateway,
  type GatewayOptions,
  type Limits,
  Listener,
  type ListenerOptions,
  loadSend,
} from '../src/index.ts'

const send = loadSend()

/** Every way in which frames go to sockets here, to run the same tests with each. */
export const waysToWrite: readonly (readonly [name: string, directWriter: DirectWriter | undefined])[] = [
  ['through the streams', undefined],
  ...(send ? [['past the streams', new DirectWriter(send)] as const] : []),
]

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
