import type { DeviceCredentials } from '@carillon/auth'
import { type CloseCode, LimitError, ProtocolError } from '@carillon/codec'
import type { Command, ErrorCode } from './protocol.ts'
import { closeCodes, errorCodes } from './protocol.ts'
import { type Device, isOwnRoom, type Room, type RoomAccess } from './room.ts'

/** What one connection is and has. Immutable: a step makes the next one. */
export interface Session {
  readonly device: Device | undefined
  /** By name. */
  readonly rooms: ReadonlySet<string>
  readonly failedAuthentications: number
}

export interface SessionLimits {
  readonly roomsMax: number
  readonly failedAuthenticationsMax: number
  readonly roomAccess: RoomAccess
}

/** What the outside answers to an effect. */
export type Outcome =
  | { readonly type: 'verified'; readonly device: Device }
  | { readonly type: 'not_verified'; readonly error: 'signature_wrong' | 'too_many_failures' }
  /** The device's live connection is this one now, on every instance. */
  | { readonly type: 'claimed'; readonly serialNo: string }
  | { readonly type: 'ticket_checked'; readonly room: Room; readonly valid: boolean }
  | { readonly type: 'subscribed'; readonly room: Room }
  | { readonly type: 'not_subscribed'; readonly room: Room; readonly error: ErrorCode }
  /** NATS cannot be asked: the client shall try again elsewhere or later. */
  | { readonly type: 'unavailable' }
  /** The registry says something else of the device than before. */
  | { readonly type: 'device_changed'; readonly device: Device }

/** What is to be done, in order. Those that ask something are answered with an {@link Outcome}. */
export type Effect =
  | { readonly type: 'verify'; readonly credentials: DeviceCredentials }
  | { readonly type: 'claim'; readonly device: Device }
  | { readonly type: 'check_ticket'; readonly room: Room; readonly ticket: string }
  | { readonly type: 'subscribe'; readonly room: Room }
  | { readonly type: 'unsubscribe'; readonly room: string }
  | { readonly type: 'emit'; readonly event: string }
  | { readonly type: 'refuse'; readonly error: ProtocolError }
  | { readonly type: 'publish_result'; readonly room: string; readonly result: string }
  /** Durable events and live pushes may go to the device from now on. */
  | { readonly type: 'deliver'; readonly serialNo: string }
  | { readonly type: 'close'; readonly code: CloseCode }

type Step = readonly [Session, readonly Effect[]]

export const emptySession: Session = { device: undefined, rooms: new Set(), failedAuthentications: 0 }

/** A command's or an outcome's consequence: the next session and what is to be done for it. */
export function step(session: Session, input: Command | Outcome, limits: SessionLimits): Step {
  switch (input.type) {
    case 'authenticate':
      return authenticate(session, input.credentials)
    case 'verified':
      // Asked again by the same device: it is live already.
      if (session.device) return [{ ...session, device: input.device }, [emit('auth:ok')]]
      return [{ ...session, device: input.device }, [{ type: 'claim', device: input.device }]]
    case 'not_verified':
      return failedAuthentication(
        session,
        new ProtocolError(input.error, messageOf(input.error), 'authentication'),
        limits,
      )
    case 'claimed':
      return [session, [emit('auth:ok'), { type: 'deliver', serialNo: input.serialNo }]]
    case 'unavailable':
      return [session, [{ type: 'close', code: closeCodes.unavailable }]]
    case 'device_changed':
      return changeDevice(session, input.device, limits)
    case 'join':
      return join(session, input.room, input.ticket, limits)
    case 'ticket_checked':
      return [session, [input.valid ? { type: 'subscribe', room: input.room } : notAllowed()]]
    case 'subscribed':
      return [{ ...session, rooms: new Set(session.rooms).add(input.room.name) }, [emit('join_room:ok')]]
    case 'not_subscribed':
      return [session, [refuseJoin(input.error)]]
    case 'leave':
      return leave(session, input.room)
    case 'command_result':
      return commandResult(session, input.result)
    default:
      return input satisfies never
  }
}

/** A signature that is none counts as a failure too. */
export function failedAuthentication(session: Session, error: ProtocolError, limits: SessionLimits): Step {
  const failedAuthentications = session.failedAuthentications + 1
  const tooMany = failedAuthentications >= limits.failedAuthenticationsMax
  return [
    { ...session, failedAuthentications },
    [
      { type: 'refuse', error },
      ...(tooMany ? [{ type: 'close', code: closeCodes.authenticationFailures } as const] : []),
    ],
  ]
}

function authenticate(session: Session, credentials: DeviceCredentials): Step {
  if (session.device && session.device.serialNo !== credentials.serialNo) {
    const error = new ProtocolError<ErrorCode>('other_device', errorCodes.other_device, 'authentication')
    return [session, [{ type: 'refuse', error }]]
  }
  return [session, [{ type: 'verify', credentials }]]
}

function join(session: Session, room: Room, ticket: string | undefined, limits: SessionLimits): Step {
  if (session.rooms.has(room.name)) return [session, [emit('join_room:ok')]]
  if (session.rooms.size >= limits.roomsMax) {
    const message = `a connection may be in ${limits.roomsMax} rooms`
    return [
      session,
      [{ type: 'refuse', error: new LimitError<ErrorCode>('too_many_rooms', message, 'join_room') }],
    ]
  }
  if (limits.roomAccess === 'open' || isOwnRoom(session.device, room))
    return [session, [{ type: 'subscribe', room }]]
  if (ticket === undefined) return [session, [notAllowed()]]
  return [session, [{ type: 'check_ticket', room, ticket }]]
}

function leave(session: Session, { name }: Room): Step {
  if (!session.rooms.has(name)) {
    const error = new ProtocolError<ErrorCode>('not_joined', errorCodes.not_joined, 'leave_room')
    return [session, [{ type: 'refuse', error }]]
  }
  const rooms = new Set(session.rooms)
  rooms.delete(name)
  return [{ ...session, rooms }, [{ type: 'unsubscribe', room: name }, emit('leave_room:ok')]]
}

/** Only the device itself, in its own room, is passed on. */
function commandResult(session: Session, result: string): Step {
  const serialNo = session.device?.serialNo
  if (serialNo === undefined || !session.rooms.has(serialNo)) {
    const error = new ProtocolError<ErrorCode>('not_the_device', errorCodes.not_the_device, 'cmd_result')
    return [session, [{ type: 'refuse', error }]]
  }
  return [session, [{ type: 'publish_result', room: serialNo, result }]]
}

/** A device that is bound to another class leaves the rooms of students who are no longer its own. */
function changeDevice(session: Session, device: Device, { roomAccess }: SessionLimits): Step {
  if (session.device?.serialNo !== device.serialNo) return [session, []]
  const lost = [...session.device.studentIds]
    .filter((id) => !device.studentIds.has(id))
    .map((id) => `bp_student_${id}`)
    .filter((name) => roomAccess === 'ticket' && session.rooms.has(name))
  const rooms = new Set(session.rooms)
  for (const name of lost) rooms.delete(name)
  return [{ ...session, device, rooms }, lost.map((room): Effect => ({ type: 'unsubscribe', room }))]
}

const emit = (event: string): Effect => ({ type: 'emit', event })

const notAllowed = () => refuseJoin('not_allowed')

function refuseJoin(error: ErrorCode): Effect {
  const ErrorType = error === 'not_allowed' ? ProtocolError : LimitError
  return { type: 'refuse', error: new ErrorType<ErrorCode>(error, errorCodes[error], 'join_room') }
}

const messageOf = (error: 'signature_wrong' | 'too_many_failures') =>
  // The document's own words for a wrong signature.
  error === 'signature_wrong' ? 'signature not valid.' : errorCodes.too_many_failures
