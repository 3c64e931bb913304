import type { Command } from 'commander'
import { baseUrlOf, type OptionValues, type Print } from '../service-info.ts'
import { addCredentialCommand, credentialRequest, servicesWithClients } from './credential.ts'

/** `connect <service>`: a client in the terminal. */
export function addConnectCommand(tool: Command, print: Print): void {
  const connect = tool
    .command('connect')
    .description('connect as a client, print what comes and send what is typed: connect auction --user 3600')
    .showHelpAfterError()
  for (const service of servicesWithClients) {
    const { client } = service
    addCredentialCommand(connect, service)
      .description(`a client of ${service.name}`)
      .option('--user <id>', 'as whom', client.exampleUser)
      .option('--url <url>', 'where to, without a path', baseUrlOf(service))
      .action(async ({ url, ...options }: OptionValues) => {
        const request = credentialRequest(options)
        const createCredential = () => client.createCredential(request)
        // Where an option makes no sense, that is said before anything is connected.
        await createCredential()
        const baseUrl = (url as string).replace(/\/$/, '')
        await client.connect({ request, createCredential, baseUrl, print })
      })
  }
}
