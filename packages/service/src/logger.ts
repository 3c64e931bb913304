import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino'

export type Logger = PinoLogger

/** Anything of the shape of a JSON Web Token, wherever it stands in a line. */
const TOKEN = /eyJ[\w-]{4,}\.[\w-]+\.[\w-]*/g
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
  destination?: DestinationStream,
): Logger {
  return pino(
    {
      level,
      base: { service, instance_id: instanceId },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRETS.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '[redacted]' },
      hooks: { streamWrite: (line) => line.replace(TOKEN, '[redacted]') },
    },
    destination ?? pino.destination(1),
  )
}
