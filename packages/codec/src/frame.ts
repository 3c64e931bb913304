/**
 * Prepared WebSocket frames (RFC 6455, section 5.2): unmasked, unfragmented, as a server sends them. Made once,
 * they go to any number of sockets as they are.
 */
const FIN_TEXT = 0x81
const FIN_BINARY = 0x82

/** A ping without a payload. */
export const PING_FRAME: Uint8Array = Uint8Array.of(0x89, 0)

/** A text frame of one payload. */
export function textFrame(payload: string | Uint8Array): Buffer {
  return frame(FIN_TEXT, [typeof payload === 'string' ? Buffer.from(payload) : payload])
}

/** A text frame of several pieces that make one payload: a validated body between a prefix and a suffix. */
export function spliceTextFrame(...pieces: readonly Uint8Array[]): Buffer {
  return frame(FIN_TEXT, pieces)
}

export function binaryFrame(payload: Uint8Array): Buffer {
  return frame(FIN_BINARY, [payload])
}

function frame(firstByte: number, pieces: readonly Uint8Array[]): Buffer {
  let length = 0
  for (const piece of pieces) length += piece.length
  const headerLength = length < 126 ? 2 : length < 65_536 ? 4 : 10
  const bytes = Buffer.allocUnsafe(headerLength + length)
  bytes[0] = firstByte
  if (headerLength === 2) bytes[1] = length
  else if (headerLength === 4) {
    bytes[1] = 126
    bytes.writeUInt16BE(length, 2)
  } else {
    bytes[1] = 127
    bytes.writeUInt32BE(Math.floor(length / 2 ** 32), 2)
    bytes.writeUInt32BE(length >>> 0, 6)
  }
  let at = headerLength
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}
