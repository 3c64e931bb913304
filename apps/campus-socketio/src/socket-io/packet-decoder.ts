import { Decoder, type Packet, PacketType } from 'socket.io-parser'

/** What arrives in place of an event that cannot be one. No client can send a symbol. */
export const MALFORMED = Symbol('malformed')
export const TOO_LARGE = Symbol('too large')

/**
 * A parser of Socket.IO packets that refuses binary ones, so that no connection makes the process hold
 * attachments, and that turns a bad packet into an event which says so: the client is told before it is closed.
 */
export function createPacketDecoder(packetBytesMax: number): typeof Decoder {
  return class PacketDecoder extends Decoder {
    constructor() {
      super({ reviver: undefined as never, maxAttachments: 0 })
    }

    override add(packet: unknown): void {
      if (typeof packet === 'string' && Buffer.byteLength(packet) > packetBytesMax)
        return this.#refuse(TOO_LARGE)
      if (typeof packet !== 'string') return this.#refuse(MALFORMED)
      try {
        super.add(packet)
      } catch {
        this.#refuse(MALFORMED)
      }
    }

    #refuse(reason: symbol): void {
      this.emitReserved('decoded', { type: PacketType.EVENT, nsp: '/', data: [reason] } satisfies Packet)
    }
  }
}
