export { type CloseCode, type GatewayCloseCodes, gatewayCloseCodes } from './close-codes.ts'
export { binaryFrame, PING_FRAME, spliceTextFrame, textFrame } from './frame.ts'
export {
  countField,
  decodeProto,
  encodeError,
  encodeList,
  encodeMessagePush,
  encodeNoticePush,
  encodePush,
  hasMistypedField,
  im,
  LIST_ITEM_OVERHEAD_BYTES,
  type WireTypes,
} from './im.ts'
export {
  type NoticeEnvelope,
  type RequestEnvelope,
  type ResponseEnvelope,
  readNotice,
  readNotices,
  readPush,
  readRequest,
  responseFrame,
} from './im-envelope.ts'
export { isObject, type JsonObject, parseJsonObject } from './json-text.ts'
export { LimitError, ProtocolError } from './protocol-error.ts'
export { asciiPacket, socketIoEvent, socketIoEventWithAck, socketIoPackets } from './socket-io.ts'
