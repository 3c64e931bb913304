import { type Bus, NoResponders } from '@carillon/bus'
import { contract, type EventChannel, RequestChannel } from '@carillon/events'
import { type Command, InvalidArgumentError } from 'commander'
import { positiveInteger } from '../option.ts'
import type { Print } from '../service-info.ts'
import { services } from '../services/index.ts'
import { ToolError, USAGE } from '../tool-error.ts'
import { withBus } from '../with-bus.ts'

type Headers = Readonly<Record<string, string>>

interface PublishOptions {
  readonly header: Headers
  readonly timeout: string
}

interface Delivery {
  readonly headers: Headers
  readonly timeoutMs: number
}

/** Channels that internal services publish JSON on, by their name in the contract. */
const channels = new Map(
  Object.entries(contract.domains).flatMap(([domain, members]) =>
    Object.entries(members)
      .filter(
        ([, { direction, payload }]) => direction === 'receive' && payload.contentType === 'application/json',
      )
      .map(([event, channel]): [string, EventChannel] => [`${domain}.${event}`, channel]),
  ),
)
/** Events that a service publishes differently. */
const special = new Map(services.flatMap(({ publish = {} }) => Object.entries(publish)))

/** `publish <event> <ids> '<JSON>'`: publishes an event, or asks and prints the answer. */
export function addPublishCommand(tool: Command, print: Print): void {
  tool
    .command('publish <event> [idsAndPayload...]')
    .description(`publish an event, or send a request: publish auction.bid 3607 '{"amount":…}'`)
    .option('--header <header>', 'a header, "Name: value"; may be repeated', addHeader, {})
    .option('--timeout <ms>', 'how long to wait for an answer', '15000')
    .addHelpText('after', () => `\nEvents:\n${usages().join('\n')}`)
    .action(async (name: string, args: string[], options: PublishOptions) =>
      print(await publish(name, args, options)),
    )
}

/** Adds one `Name: value` to the headers so far. @throws {InvalidArgumentError} */
function addHeader(text: string, headers: Headers): Headers {
  const match = /^([\w-]+):\s*(.*)$/.exec(text)
  if (match === null) throw new InvalidArgumentError('It must be "Name: value".')
  return { ...headers, [match[1] as string]: match[2] as string }
}

function usages(): string[] {
  return [
    ...[...special].map(([name, { usage }]) => `  ${name} ${usage}`),
    ...[...channels]
      .filter(([name]) => !special.has(name))
      .map(([name, channel]) => `  ${name} ${usageOf(channel)}`),
  ]
}

function usageOf({ params }: EventChannel): string {
  return [...params.map((id) => `<${id}>`), "'<JSON>'"].join(' ')
}

async function publish(name: string, args: readonly string[], options: PublishOptions): Promise<string> {
  const own = special.get(name)
  if (own) return withBus((bus) => own.run(bus, args))
  const channel = channels.get(name)
  if (channel === undefined) {
    const known = [...new Set([...special.keys(), ...channels.keys()])]
    throw new ToolError(`there is no event ${name}; events: ${known.join(', ')}`, USAGE)
  }
  const ids = args.slice(0, -1)
  const text = args.at(-1)
  if (text === undefined || ids.length !== channel.params.length) {
    throw new ToolError(`usage: publish ${name} ${usageOf(channel)}`, USAGE)
  }
  const subject = subjectOf(channel, ids)
  const decoded = channel.decode(subject, Buffer.from(text))
  if (!decoded.ok) throw new ToolError(`not published to ${subject}: ${decoded.reason}`)
  const { payload } = decoded.value
  const params = decoded.value.params as object
  const headers = { ...options.header, 'Carillon-Published-At': String(Date.now()) }
  const delivery = { headers, timeoutMs: positiveInteger('--timeout', options.timeout) }
  return withBus((bus) =>
    channel instanceof RequestChannel
      ? ask(bus, channel, params, payload, delivery)
      : send(bus, channel, params, payload, delivery),
  )
}

async function send(
  bus: Bus,
  channel: EventChannel,
  params: object,
  payload: unknown,
  { headers }: Delivery,
): Promise<string> {
  const subject = channel.subject(params as never)
  // A stream that acknowledges nothing cannot be waited for.
  if (channel.stream === undefined || channel.stream.acknowledges === false) {
    bus.publish(channel, params as never, payload, { headers })
    await bus.roundTrip()
    return `published to ${subject}`
  }
  await bus.stream(channel.stream).ensure()
  const sequence = await bus.publishStored(channel, params as never, payload, { headers })
  return `published to ${subject}, stored in ${channel.stream.name} as ${sequence}`
}

/** @throws {ToolError} where nobody answers, or where the answer is a refusal. */
async function ask(
  bus: Bus,
  channel: RequestChannel,
  params: object,
  payload: unknown,
  delivery: Delivery,
): Promise<string> {
  const subject = channel.subject(params as never)
  if (channel.answers === 'every-instance') {
    const answers = await bus.requestMany(channel, params as never, payload)
    if (answers.length === 0) throw new ToolError(`nobody answers ${subject}`)
    return answers.map((answer) => JSON.stringify(answer)).join('\n')
  }
  try {
    const answer = await bus.request(channel, params as never, payload, delivery)
    const text = JSON.stringify(answer)
    if (isRefusal(answer)) throw new ToolError(text)
    return text
  } catch (error) {
    if (error instanceof ToolError) throw error
    if (error instanceof NoResponders) throw new ToolError(`nobody answers ${subject}`)
    throw new ToolError(`${subject}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function isRefusal(answer: unknown): boolean {
  return (
    typeof answer === 'object' && answer !== null && 'error_code' in answer && Number(answer.error_code) !== 0
  )
}

function subjectOf(channel: EventChannel, ids: readonly string[]): string {
  try {
    return channel.subject(Object.fromEntries(channel.params.map((name, i) => [name, ids[i]])) as never)
  } catch (error) {
    throw new ToolError((error as Error).message, USAGE)
  }
}
