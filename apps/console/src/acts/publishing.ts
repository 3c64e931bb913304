import { createHash } from 'node:crypto'
import { type Bus, NoResponders, PayloadTooLarge, RequestTimeout } from '@carillon/bus'
import {
  type EventChannel,
  isNestedWithin,
  type Publishable,
  publishable,
  RequestChannel,
  SubjectTooLong,
} from '@carillon/events'
import type { Channels, PublishChannel, Published, PublishRequest } from '../api.ts'
import { ApiFailure } from '../http/api-failure.ts'
import { plainSchema } from './json-schema.ts'

/** A message that has been checked and may be sent. */
export interface Prepared {
  readonly publishable: Publishable
  readonly subject: string
  readonly params: Readonly<Record<string, string>>
  readonly payload: unknown
  readonly headers: Readonly<Record<string, string>>
  readonly bytes: number
  readonly digest: string
}

const byId: ReadonlyMap<string, Publishable> = new Map(publishable.map((each) => [each.id, each]))
/** A device, or a member of a room, has to answer first. */
const ANSWER_MS = 15_000
const HEADER_VALUE = /^[\x20-\x7e]{1,256}$/

/** What may be published, with its schemas: the contract's. */
export const channels: Channels = { channels: publishable.map(describe) }

/** Checks a message as the services do. @throws {ApiFailure} with what is wrong with it */
export function prepare({ channel: id, params, payload, headers = {} }: PublishRequest): Prepared {
  const found = byId.get(id)
  if (found === undefined) throw new ApiFailure('not_found', 'there is no such channel')
  const { channel } = found
  const wrong = (reason: string) => new ApiFailure('bad_request', reason)
  const unknown = Object.keys(params).find((name) => !channel.params.includes(name))
  if (unknown !== undefined) throw wrong(`${id} has no ${unknown}`)
  if (!isNestedWithin(payload)) throw wrong('the payload is nested too deeply')
  let subject: string
  try {
    subject = channel.subject(params as never)
  } catch (error) {
    if (error instanceof RangeError || error instanceof SubjectTooLong) throw wrong(error.message)
    throw error
  }
  const checked = channel.payload.check(payload)
  if (!checked.ok) throw wrong(checked.reason)
  const bytes = channel.encode(checked.value)
  const decoded = channel.decode(subject, bytes)
  if (!decoded.ok) throw wrong(decoded.reason)
  for (const [name, value] of Object.entries(headers)) {
    const header = found.headers?.find((each) => each.name === name)
    if (header === undefined) throw wrong(`${id} has no header ${name.slice(0, 64)}`)
    if (!HEADER_VALUE.test(value) || (header.values && !header.values.includes(value)))
      throw wrong(`${name} does not take this value`)
  }
  return {
    publishable: found,
    subject,
    params,
    payload: checked.value,
    headers,
    bytes: bytes.length,
    digest: createHash('sha256').update(bytes).digest('hex'),
  }
}

/** Sends what was checked: stored, answered, or handed to NATS when this resolves. @throws {ApiFailure} */
export async function send(bus: Bus, prepared: Prepared): Promise<Published> {
  const { publishable, subject, params, payload, headers } = prepared
  const channel = publishable.channel as EventChannel<string, unknown>
  try {
    switch (kindOf(channel)) {
      case 'request': {
        const request = channel as unknown as RequestChannel<string, unknown, unknown>
        const answer = await bus.request(request, params as never, payload, { headers, timeoutMs: ANSWER_MS })
        return { subject, answer }
      }
      case 'stored':
        return { subject, sequence: await bus.publishStored(channel, params as never, payload, { headers }) }
      case 'event':
        bus.publish(channel, params as never, payload, { headers })
        // Confirms that the server has it.
        await bus.roundTrip()
        return { subject }
    }
  } catch (error) {
    if (error instanceof NoResponders) throw new ApiFailure('unavailable', 'nobody answers there')
    if (error instanceof RequestTimeout)
      throw new ApiFailure('unavailable', 'it was sent, and no answer came in time')
    if (error instanceof PayloadTooLarge) throw new ApiFailure('too_large', error.message)
    throw error
  }
}

/** A stream that confirms nothing to its publishers leaves the answer to whoever works on it. */
function kindOf(channel: EventChannel): PublishChannel['kind'] {
  if (channel instanceof RequestChannel) return 'request'
  return channel.stream === undefined || channel.stream.acknowledges === false ? 'event' : 'stored'
}

function describe({ id, channel, example, headers = [] }: Publishable): PublishChannel {
  const param = channel.params.at(-1)
  return {
    id,
    domain: id.slice(0, id.indexOf('.')),
    summary: channel.summary,
    pattern: channel.pattern,
    params: channel.params,
    schema: plainSchema(channel.payload.schema),
    ...(channel.messages &&
      param !== undefined && {
        variants: {
          param,
          schemas: Object.fromEntries(
            Object.entries(channel.messages).map(([name, { schema }]) => [name, plainSchema(schema)]),
          ),
        },
      }),
    kind: kindOf(channel),
    headers,
    example: example.payload,
    example_params: example.params,
  }
}
