import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { now } from '../remote.ts'

/** How a peer sends one message to all its clients. */
export type Publish = (message: string) => void

/** Publishes in bursts, each in one tick, with a few bursts on their way at a time. */
export class Publisher {
  readonly #control: Server
  #arrived = 0
  #wake: (() => void) | undefined

  constructor() {
    this.#control = createServer((socket: Socket) => {
      socket.setNoDelay(true)
      socket.on('data', (chunk) => {
        this.#arrived += chunk.length
        this.#wake?.()
      })
      socket.on('error', () => {})
    }).listen(0, '127.0.0.1')
  }

  get port(): number {
    return (this.#control.address() as AddressInfo).port
  }

  async run(
    publish: Publish,
    options: {
      readonly events: number
      readonly burst: number
      readonly message: string
      readonly window: number
    },
  ) {
    const { events, burst, message, window } = options
    this.#arrived = 0
    const start = now()
    const cpu = process.cpuUsage()
    for (let sent = 0, bursts = 0; sent < events; bursts++) {
      for (let i = 0; i < burst; i++, sent++) publish(message)
      // The end of the tick: what coalesces is written now.
      await new Promise(setImmediate)
      while (bursts + 1 - this.#arrived >= window) await new Promise<void>((done) => (this.#wake = done))
    }
    const { user, system } = process.cpuUsage(cpu)
    return { start, cpuMs: (user + system) / 1_000 }
  }
}
