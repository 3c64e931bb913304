import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino'
import { LogDestination, nonBlocking } from './log-destination.ts'
import { redactTokens } from './redact.ts'

export type Logger = PinoLogger

/** Credentials by the names they travel under. */
const SECRETS = ['token', 'authorization', 'signature', 'password', 'secret', 'sid', 'online_token', 'ticket']

/**
 * A logger whose lines never hold credentials: fields that carry them are removed by name, and tokens are
 * blotted out wherever they appear.
 */
export function createLogger(
  service: string,
  instanceId: string,
  level: string,
  destination: DestinationStream = standardOutput(service, instanceId),
): Logger {
  return pino(
    {
      level,
      base: { service, instance_id: instanceId },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '[redacted]' },
      hooks: { streamWrite: redactTokens },
    },
    destination,
  )
}

/** Standard output, as a destination that never blocks and never fails. */
export function standardOutput(service: string, instanceId: string): LogDestination {
  return new LogDestination(nonBlocking(1), (dropped) => {
    const time = new Date().toISOString()
    const msg = 'log lines were dropped: they could not be written'
    return `${JSON.stringify({ level: 'warn', time, service, instance_id: instanceId, dropped, msg })}\n`
  })
}
