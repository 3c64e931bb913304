import Table from 'cli-table3'
import { Option } from 'commander'
import colors from 'picocolors'
import {
  adminUrlOf,
  baseUrlOf,
  type Example,
  type OptionInfo,
  type OptionValues,
  type ServiceInfo,
} from '../service-info.ts'

const EXAMPLE_TTL_S = 86_400

/** What runs where, and how to try it by copy and paste. */
export async function summary(selected: readonly ServiceInfo[], natsUrl: string): Promise<string> {
  const table = new Table({ head: ['service', 'endpoint', 'admin'], style: { head: [], border: [] } })
  const lines: string[] = []
  for (const service of selected) {
    table.push([service.name, baseUrlOf(service) || '–', adminUrlOf(service)])
    const examples = await examplesOf(service)
    if (examples.length > 0) lines.push(colors.bold(service.name))
    for (const { label, text } of examples) lines.push(`  ${label.padEnd(8)} ${text}`)
  }
  return [table.toString(), `NATS: ${natsUrl}`, '', ...lines, ''].join('\n')
}

/** How to connect with a credential that is good for a day, then what the service suggests. */
async function examplesOf(service: ServiceInfo): Promise<readonly Example[]> {
  const { alias, client } = service
  const [baseUrl, adminUrl] = [baseUrlOf(service), adminUrlOf(service)]
  if (client === undefined) return service.examples({ baseUrl, adminUrl, user: '', credential: '' })
  const user = client.exampleUser
  const options = defaultsOf(client.options ?? [])
  const request = { user, ttlSeconds: EXAMPLE_TTL_S, options, env: process.env }
  const credential = await client.createCredential(request)
  return [
    { label: 'connect', text: baseUrl + client.path(request, credential) },
    { label: 'or', text: `npm run carillon -- connect ${alias} --user ${user}` },
    ...service.examples({ baseUrl, adminUrl, user, credential }),
  ]
}

/** The values that the options have where nobody gives one. */
function defaultsOf(options: readonly OptionInfo[]): OptionValues {
  return Object.fromEntries(
    options.map(({ flags, default: value }) => [new Option(flags).attributeName(), value]),
  )
}
