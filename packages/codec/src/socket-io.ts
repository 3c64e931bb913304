import { spliceTextFrame } from './frame.ts'

/*
 * Socket.IO events as prepared WebSocket frames. An event of the default namespace is the same text in both
 * revisions of the protocol: Engine.IO's `4` (message), Socket.IO's `2` (event), the id of the acknowledgement
 * where one is wanted, and a JSON array of the event's name and its arguments.
 */
const END = Buffer.from(']')

/** An event with at most one argument, given as JSON text. */
export function socketIoEvent(event: string, body?: Uint8Array): Buffer {
  return eventFrame('42', event, body)
}

/** An event whose receiver acknowledges it under this id. */
export function socketIoEventWithAck(ackId: number, event: string, body: Uint8Array): Buffer {
  return eventFrame(`42${ackId}`, event, body)
}

function eventFrame(prefix: string, event: string, body: Uint8Array | undefined): Buffer {
  const head = Buffer.from(`${prefix}[${JSON.stringify(event)}${body === undefined ? '' : ','}`)
  return body === undefined ? spliceTextFrame(head, END) : spliceTextFrame(head, body, END)
}

/**
 * The texts of a sequence of prepared text frames, without Engine.IO's message type: what a transport takes that
 * has no frames of its own.
 */
export function socketIoPackets(frames: Uint8Array): string[] {
  const bytes = Buffer.from(frames.buffer, frames.byteOffset, frames.byteLength)
  const packets: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const short = (bytes[at + 1] as number) & 0x7f
    const [headerLength, length] =
      short < 126
        ? [2, short]
        : short === 126
          ? [4, bytes.readUInt16BE(at + 2)]
          : [10, bytes.readUInt32BE(at + 2) * 2 ** 32 + bytes.readUInt32BE(at + 6)]
    const start = at + headerLength
    at = start + length
    packets.push(bytes.toString('utf8', start + 1, at))
  }
  return packets
}

/**
 * A packet in ASCII alone, with the rest written as JSON escapes: it means the same. Socket.IO 1.x clients expect
 * what they poll to be encoded as UTF-8 twice, 2.x clients once, and both call themselves revision 3.
 */
export function asciiPacket(packet: string): string {
  return packet.replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
