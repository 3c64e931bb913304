import { ProtocolError } from '@carillon/codec'
import type { Limits } from '../limits.ts'

/** Why ws cannot receive a message, in words for the client; ws closes the connection after it. */
export function receiveError(
  error: Error,
  limits: Pick<Limits, 'frameBytesMax' | 'fragmentsMax'>,
): ProtocolError {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH':
      return frameTooLarge(limits)
    case 'WS_ERR_TOO_MANY_BUFFERED_PARTS':
      return new ProtocolError('too_many_fragments', `a message may have ${limits.fragmentsMax} fragments`)
    default:
      return new ProtocolError('malformed_frame', 'not a valid WebSocket frame')
  }
}

export function frameTooLarge({ frameBytesMax }: Pick<Limits, 'frameBytesMax'>): ProtocolError {
  return new ProtocolError('frame_too_large', `a frame may have ${frameBytesMax} bytes`)
}
