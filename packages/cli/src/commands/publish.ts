import { contract, type EventChannel } from '@carillon/events'
import { withBus } from '../connect-bus.ts'
import { Failure, USAGE } from '../failure.ts'

/** Publishes one event: the channel's name, its ids, and the payload as JSON. Answers what was done. */
export async function publish(name: string, args: readonly string[]): Promise<string> {
  const channel = channelNamed(name)
  const ids = args.slice(0, -1)
  const text = args.at(-1)
  if (text === undefined || ids.length !== channel.params.length) {
    throw new Failure(
      `usage: publish ${name} ${channel.params.map((id) => `<${id}>`).join(' ')} '<JSON>'`,
      USAGE,
    )
  }
  const subject = subjectOf(channel, ids)
  const decoded = channel.decode(subject, Buffer.from(text))
  if (!decoded.ok) throw new Failure(`not published to ${subject}: ${decoded.reason}`)
  const params = decoded.value.params as never
  const headers = { 'Carillon-Published-At': String(Date.now()) }
  return withBus(async (bus) => {
    if (channel.stream === undefined) {
      bus.publish(channel, params, decoded.value.payload, { headers })
      await bus.roundTrip()
      return `published to ${subject}`
    }
    await bus.stream(channel.stream).ensure()
    const sequence = await bus.publishStored(channel, params, decoded.value.payload, { headers })
    return `published to ${subject}, stored in ${channel.stream.name} as ${sequence}`
  })
}

function channelNamed(name: string): EventChannel {
  const published = Object.entries(contract.domains).flatMap(([domain, channels]) =>
    Object.entries(channels)
      .filter(([, channel]) => channel.direction === 'receive' && !('reply' in channel))
      .map(([event, channel]) => [`${domain}.${event}`, channel] as const),
  )
  const found = published.find(([known]) => known === name)?.[1]
  if (found) return found
  throw new Failure(
    `there is no event ${name}; events: ${published.map(([known]) => known).join(', ')}`,
    USAGE,
  )
}

function subjectOf(channel: EventChannel, ids: readonly string[]): string {
  try {
    return channel.subject(Object.fromEntries(channel.params.map((name, i) => [name, ids[i]])) as never)
  } catch (error) {
    throw new Failure((error as Error).message, USAGE)
  }
}
