import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/**
 * A link to a NATS server that can fall silent, as a broken network does: nothing passes, and nothing is closed. Or it
 * can be cut, so that everything is closed at once.
 */
export class NatsLink {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #port = 0
  #silent = false
  #cut = false

  private constructor(target: number) {
    this.#server = createServer((client) => {
      if (this.#cut) return void client.destroy()
      const server = connect(target, '127.0.0.1')
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        this.#sockets.add(from)
        from.setNoDelay(true)
        from.on('data', (bytes) => to.write(bytes))
        from.on('error', () => {})
        from.on('close', () => {
          this.#sockets.delete(from)
          to.destroy()
        })
        if (this.#silent) from.pause()
      }
    })
  }

  static async open(target: number): Promise<NatsLink> {
    const link = new NatsLink(target)
    await new Promise<void>((resolve) => link.#server.listen(0, '127.0.0.1', resolve))
    link.#port = (link.#server.address() as AddressInfo).port
    return link
  }

  get url(): string {
    return `nats://127.0.0.1:${this.#port}`
  }

  /** Nothing passes any more, in either direction; new connections are accepted and hear nothing either. */
  silence(): void {
    this.#silent = true
    for (const socket of this.#sockets) socket.pause()
  }

  /** What was held back by {@link silence} passes, and everything after it. */
  resume(): void {
    this.#silent = false
    for (const socket of this.#sockets) socket.resume()
  }

  /** Closes everything; new connections are closed too. */
  cut(): void {
    this.#cut = true
    for (const socket of this.#sockets) socket.destroy()
  }

  /** New connections pass again; those that were silenced stay so. */
  restore(): void {
    this.#silent = false
    this.#cut = false
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
