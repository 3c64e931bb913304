import { type EventChannel, RequestChannel } from './channel.ts'
import type { Contract } from './contract.ts'
import type { Payload } from './payload.ts'

type Json = { [key: string]: unknown }

const ref = (path: string) => ({ $ref: `#/${path}` })

/** The contract as an AsyncAPI 3.0 document. Pure data, in a stable order. */
export function asyncapi(contract: Contract, version: string): Json {
  const channels: Json = {}
  const operations: Json = {}
  for (const [domain, members] of Object.entries(contract.domains)) {
    for (const [name, channel] of Object.entries(members)) {
      const id = `${domain}.${name}`
      channels[id] = describeChannel(channel)
      operations[id] = describeOperation(id, channel)
      if (channel instanceof RequestChannel) {
        channels[`${id}.reply`] = {
          address: null,
          summary: `Answers to ${id}`,
          messages: { reply: message(channel.reply, 'The answer') },
        }
      }
    }
  }
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Carillon on NATS',
      version,
      description:
        'What internal services publish and listen to. An id in a subject is percent-encoded like a URI ' +
        'component, with "." and "*" encoded too. Unknown extra fields reach the clients untouched.',
      license: { name: 'Apache-2.0' },
    },
    defaultContentType: 'application/json',
    servers: { nats: { host: '127.0.0.1:4222', protocol: 'nats' } },
    channels,
    operations,
    'x-streams': contract.streams.map((stream) => ({ ...stream })),
    'x-buckets': contract.buckets.map(({ name, summary, storage, maxAgeMs }) => ({
      name,
      summary,
      storage,
      maxAgeMs,
    })),
    'x-settings': Object.fromEntries(
      Object.entries(contract.settings).map(([service, settings]) => [
        service,
        settings.map(({ name, summary, value }) => ({
          key: `${service}.${name}`,
          summary,
          schema: plain(value.schema),
        })),
      ]),
    ),
  }
}

function describeChannel(channel: EventChannel): Json {
  const parameters = Object.fromEntries(channel.params.map((name) => [name, {}]))
  return {
    address: channel.address,
    summary: channel.summary,
    ...(channel.params.length > 0 && { parameters }),
    messages: messagesOf(channel),
    ...(channel.stream && { 'x-stream': channel.stream.name }),
  }
}

function describeOperation(id: string, channel: EventChannel): Json {
  return {
    action: channel.direction,
    channel: ref(`channels/${id}`),
    summary: channel.summary,
    messages: Object.keys(messagesOf(channel)).map((name) => ref(`channels/${id}/messages/${name}`)),
    ...(channel instanceof RequestChannel && {
      reply: { channel: ref(`channels/${id}.reply`), messages: [ref(`channels/${id}.reply/messages/reply`)] },
      'x-answers': channel.answers,
    }),
  }
}

function messagesOf({ payload, summary, messages }: EventChannel): Json {
  if (messages === undefined) return { message: message(payload, summary) }
  const { contentType } = payload
  return Object.fromEntries(
    Object.entries(messages).map(([name, { summary, schema }]) => [
      name,
      { summary, contentType, payload: plain(schema) },
    ]),
  )
}

function message(payload: Payload<unknown>, summary: string): Json {
  return { summary, contentType: payload.contentType, payload: plain(payload.schema) }
}

/** JSON Schema without TypeBox's symbols; ids are dropped because the schemas stand in line. */
function plain(schema: object): unknown {
  return JSON.parse(JSON.stringify(schema, (key, value) => (key === '$id' ? undefined : value)))
}
