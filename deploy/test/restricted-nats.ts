import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Bus } from '@carillon/bus'
import { contract, inboxPrefix, natsUsers } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { accountsConf, passwordVariable } from '../../scripts/nats-users.ts'

export const passwordOf = (user: string) => `password-of-${user}`

/** A nats-server with the users of deploy/nats/accounts.conf, on which everything is provisioned. */
export class RestrictedNats {
  readonly server: NatsServer
  readonly #folder: string
  readonly #buses: Bus[] = []

  private constructor(server: NatsServer, folder: string) {
    this.server = server
    this.#folder = folder
  }

  /** @param provisioned whether the streams and buckets of the contract are there; default: they are. */
  static async start({ provisioned = true } = {}): Promise<RestrictedNats> {
    const folder = await mkdtemp(join(tmpdir(), 'carillon-nats-users-'))
    const configFile = join(folder, 'accounts.conf')
    const passwords = new Map(
      ['monitor', ...natsUsers.map(({ name }) => name)].map((user) => [
        passwordVariable(user),
        passwordOf(user),
      ]),
    )
    const withPasswords = accountsConf().replace(/\$(\w+_PASSWORD)/g, (_, name) => `"${passwords.get(name)}"`)
    await writeFile(configFile, withPasswords)
    const nats = new RestrictedNats(await NatsServer.start({ configFile }), folder)
    if (!provisioned) return nats
    const provisioner = await nats.connect('provisioner')
    for (const stream of contract.streams) await provisioner.stream(stream).ensure()
    for (const bucket of contract.buckets) await provisioner.bucket(bucket).ensure()
    return nats
  }

  /** What a service has in its environment. */
  environment(user: string): Record<string, string> {
    return { NATS_USER: user, NATS_PASSWORD: passwordOf(user) }
  }

  async connect(user: string): Promise<Bus> {
    const bus = new Bus({
      url: this.server.url,
      name: user,
      user,
      password: passwordOf(user),
      inboxPrefix: inboxPrefix(user),
      log: { info() {}, warn() {}, error: (fields) => this.refusals.push({ user, ...fields }) },
    })
    this.#buses.push(bus)
    bus.start()
    await eventually(() => bus.connected)
    return bus
  }

  /** What the server refused to those who {@link connect}. */
  readonly refusals: object[] = []

  /** What nats-server says to a user who sends these commands: the errors, in order. */
  async errors(user: string, commands: readonly string[], password = passwordOf(user)): Promise<string[]> {
    const socket = connect(this.server.port, '127.0.0.1')
    let received = ''
    let ended = false
    socket.on('data', (data) => (received += data))
    socket.on('error', () => {})
    socket.on('close', () => (ended = true))
    const credentials = { user, pass: password, verbose: false, protocol: 1, headers: true }
    socket.write(`CONNECT ${JSON.stringify(credentials)}\r\n${commands.join('')}PING\r\n`)
    try {
      await eventually(() => ended || received.includes('PONG'), 20_000)
    } finally {
      socket.destroy()
    }
    return [...received.matchAll(/-ERR '(.*)'/g)].map(([, text]) => text as string)
  }

  async stop(): Promise<void> {
    await Promise.all(this.#buses.map((bus) => bus.stop()))
    await this.server.stop()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
