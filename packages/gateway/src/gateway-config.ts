import { type CommonConfig, commonConfig, env } from '@carillon/service'
import { Type } from 'typebox'
import { defaultLimits, type Limits } from './limits.ts'

export interface GatewayDefaults {
  readonly listenPort: number
  readonly adminPort: number
  readonly framesPerSecondMax?: number
  readonly framesBurstMax?: number
  /** In seconds; default: connections may be of any age. */
  readonly connectionAgeMaxS?: number
}

/** How many busy connections a user may well have at a time, on several devices. */
const USER_CONNECTIONS = 4

function fields({
  listenPort,
  adminPort,
  framesPerSecondMax = defaultLimits.framesPerSecondMax,
  connectionAgeMaxS = 0,
}: GatewayDefaults) {
  return {
    LISTEN_PORT: env.port(listenPort, 'the port that clients reach'),
    ADMIN_PORT: env.port(adminPort, 'probes and metrics'),
    PUBLIC_URL: Type.Optional(
      env.clientUrl('wss?', 'what endpoint-discovery hands out; unset: `ws://127.0.0.1:<port>`'),
    ),
    MAX_CONNECTIONS: env.integer(
      0,
      1_000_000,
      defaultLimits.connectionsMax,
      'connections of an instance; live setting `<service>.max_connections`',
    ),
    MAX_CONNECTIONS_PER_ADDRESS: env.integer(
      1,
      1_000_000,
      defaultLimits.connectionsPerAddressMax,
      'connections of one address',
    ),
    MAX_CONNECTIONS_PER_USER: env.integer(
      1,
      1_000_000,
      defaultLimits.connectionsPerUserMax,
      'connections of one user',
    ),
    MAX_FRAMES_PER_SECOND: env.integer(1, 100_000, framesPerSecondMax, 'frames a second from one connection'),
    MAX_FRAMES_PER_SECOND_PER_USER: env.integer(
      1,
      1_000_000,
      framesPerSecondMax * USER_CONNECTIONS,
      'frames a second from all connections of one user',
    ),
    MAX_CONNECTION_AGE_S: env.integer(
      0,
      604_800,
      connectionAgeMaxS,
      'connections are closed at this age at the latest, see [Draining](#draining); 0 for never',
    ),
    MAX_OUTBOX_BYTES: env.integer(
      1_024,
      1_073_741_824,
      defaultLimits.outboxBytesMax,
      'bytes that may wait for a client',
    ),
    DIRECT_WRITES: env.boolean(
      true,
      '`false` writes to sockets through Node’s streams alone, see [Socket writes](#socket-writes)',
    ),
  }
}

type Fields = ReturnType<typeof fields>

/** Variables that every gateway has, under its own prefix: `AUCTION_LISTEN_PORT`. */
export type GatewayVariables<P extends string> = { [K in keyof Fields as `${P}_${K}`]: Fields[K] }

export function gatewayVariables<const P extends string>(
  prefix: P,
  defaults: GatewayDefaults,
): GatewayVariables<P> {
  const prefixed = Object.entries(fields(defaults)).map(([name, field]) => [`${prefix}_${name}`, field])
  return Object.fromEntries(prefixed) as GatewayVariables<P>
}

/** What every gateway is configured with. */
export interface GatewayConfig extends CommonConfig {
  readonly port: number
  /** The variable that changes it, for the error when it is taken. */
  readonly portVariable: string
  /** What discovery hands out; undefined for this machine and the port that is listened on. */
  readonly publicUrl: string | undefined
  readonly limits: Limits
  /** Write to plain TCP sockets past their streams, where the system offers it. */
  readonly directWrites: boolean
  /** Connections are closed at this age at the latest; 0 for never. */
  readonly connectionAgeMaxMs: number
}

/** Maps the values of {@link gatewayVariables} and the common ones. */
export function gatewayConfig(
  prefix: string,
  values: Parameters<typeof commonConfig>[0],
  burst: Pick<GatewayDefaults, 'framesBurstMax'> = {},
): GatewayConfig {
  const of = <T>(name: keyof Fields) => (values as unknown as Record<string, T>)[`${prefix}_${name}`] as T
  const framesPerSecondMax = of<number>('MAX_FRAMES_PER_SECOND')
  const framesBurstMax = burst.framesBurstMax ?? framesPerSecondMax * 2
  const framesPerSecondPerUserMax = of<number>('MAX_FRAMES_PER_SECOND_PER_USER')
  return {
    ...commonConfig(values, of<number>('ADMIN_PORT'), `${prefix}_ADMIN_PORT`),
    port: of<number>('LISTEN_PORT'),
    portVariable: `${prefix}_LISTEN_PORT`,
    publicUrl: of<string | undefined>('PUBLIC_URL'),
    directWrites: of<boolean>('DIRECT_WRITES'),
    connectionAgeMaxMs: of<number>('MAX_CONNECTION_AGE_S') * 1_000,
    limits: {
      ...defaultLimits,
      connectionsMax: of<number>('MAX_CONNECTIONS'),
      connectionsPerAddressMax: of<number>('MAX_CONNECTIONS_PER_ADDRESS'),
      connectionsPerUserMax: of<number>('MAX_CONNECTIONS_PER_USER'),
      framesPerSecondMax,
      framesBurstMax,
      framesPerSecondPerUserMax,
      framesBurstPerUserMax: Math.max(framesBurstMax, framesPerSecondPerUserMax * 2),
      outboxBytesMax: of<number>('MAX_OUTBOX_BYTES'),
    },
  }
}
