export { type ClaimTimes, registeredTimes, rfc3339Times } from './claim-times.ts'
export {
  type DeviceCredentials,
  hashDeviceKey,
  parseDeviceSignature,
  signDevice,
  verifyDeviceKey,
} from './device-signature.ts'
export { signRequest, verifyRequest } from './request-sign.ts'
export {
  createTokenVerifier,
  DEVELOPMENT_SECRET,
  signToken,
  type TokenFailure,
  type TokenOptions,
  type TokenResult,
  type VerifiedToken,
  type VerifyToken,
} from './token.ts'
export { type Fields, parseFields } from './voice/canonical.ts'
export { mintSid, SID_LENGTH_MAX, type SidFailure, type SidResult, verifySid } from './voice/sid.ts'
export { isSigned, type SignMethod, type SignOptions, signFrame } from './voice/sign.ts'
