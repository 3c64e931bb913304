import type { Command } from 'commander'
import { positiveInteger } from '../option.ts'
import type { ClientInfo, CredentialRequest, OptionValues, ServiceInfo } from '../service-info.ts'
import { services } from '../services/index.ts'

export type ServiceWithClient = ServiceInfo & { readonly client: ClientInfo }

/** The services whose clients bring a credential. */
export const servicesWithClients = services.filter(
  (service): service is ServiceWithClient => service.client !== undefined,
)

/** Adds `<parent> <alias>`, with the options that say for whom a credential is. */
export function addCredentialCommand(parent: Command, { name, alias, client }: ServiceWithClient): Command {
  const command = parent
    .command(alias)
    .alias(name)
    .option('--ttl <seconds>', 'how long the credential holds', '3600')
  for (const option of client.options ?? []) {
    command.option(option.flags, option.description, option.default)
  }
  return command
}

/** For whom a credential is, from a command's options. @throws {ToolError} */
export function credentialRequest(options: OptionValues): CredentialRequest {
  const { user = '', ttl, ...rest } = options
  return { user, ttlSeconds: positiveInteger('--ttl', ttl), options: rest, env: process.env }
}
