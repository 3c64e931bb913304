import type { Command } from 'commander'
import type { OptionValues, Print } from '../service-info.ts'
import { addCredentialCommand, credentialRequest, servicesWithClients } from './credential.ts'

/** `token <service> --user <id>`: a credential as the service's clients bring it. */
export function addTokenCommand(tool: Command, print: Print): void {
  const token = tool
    .command('token')
    .description("a client's credential: token auction --user 3600")
    .showHelpAfterError()
  for (const service of servicesWithClients) {
    addCredentialCommand(token, service)
      .description(`${service.client.credential} for ${service.name}`)
      .requiredOption('--user <id>', 'whom it is for')
      .action(async (options: OptionValues) =>
        print(await service.client.createCredential(credentialRequest(options))),
      )
  }
}
