import { signDevice } from '@carillon/auth'
import { io, type Socket } from 'socket.io-client'

export const CHAOS_KEY = 'key'

/** A device with the real client, which knows what it has acknowledged: by the number in the body. */
export class ChaosDevice {
  readonly serialNo: string
  readonly acked = new Set<number>()
  readonly socket: Socket
  #stopped = false

  constructor(
    serialNo: string,
    url: string,
    { polling, random }: { readonly polling: boolean; readonly random: () => number },
  ) {
    this.serialNo = serialNo
    this.socket = io(url, {
      path: '/socket/socket.io',
      transports: polling ? ['polling'] : ['websocket'],
      forceNew: true,
      reconnectionDelay: 100,
      reconnectionDelayMax: 1_000,
      timeout: 3_000,
    })
    const signature = signDevice({ serialNo, deviceKey: CHAOS_KEY })
    this.socket.on('connect', () => this.socket.emit('authentication', { signature }))
    // A device whose connection was replaced comes back after a while, as a board that was restarted does.
    this.socket.on('disconnect', (reason) => {
      if (reason === 'io server disconnect')
        setTimeout(() => !this.#stopped && this.socket.connect(), 200).unref()
    })
    this.socket.onAny((_event: string, body: unknown, callback: unknown) => {
      const { n } = (body ?? {}) as { n?: number }
      // Now and then it does not answer.
      if (typeof callback !== 'function' || n === undefined || random() < 0.1) return
      this.acked.add(n)
      callback({ ack: true })
    })
  }

  stop(): void {
    this.#stopped = true
    this.socket.disconnect()
  }
}
