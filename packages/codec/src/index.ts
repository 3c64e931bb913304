export { type CloseCode, type GatewayCloseCodes, gatewayCloseCodes } from './close-codes.ts'
export { binaryFrame, spliceTextFrame, textFrame } from './frame.ts'
export { isObject, type JsonObject, parseJsonObject } from './json-text.ts'
export { LimitError, ProtocolError } from './protocol-error.ts'
