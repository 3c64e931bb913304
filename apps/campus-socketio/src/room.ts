import { SERIAL_NO_PATTERN } from '@carillon/events'

/** What a room's name says it is for. */
export type Room =
  /** The memos of one student, for the class board or for the mini program of the parents. */
  | {
      readonly kind: 'student'
      readonly name: string
      readonly app: 'bp' | 'wxa'
      readonly studentId: number
    }
  /** The remote debugging of one device: the room is named after its serial number. */
  | { readonly kind: 'device'; readonly name: string; readonly serialNo: string }

const STUDENT_ROOM = /^(bp|wxa)_student_(0|[1-9]\d{0,14})$/
const SERIAL_NO = new RegExp(SERIAL_NO_PATTERN)

/** The room of this name, or undefined where no room can have it. */
export function parseRoom(name: string): Room | undefined {
  const student = STUDENT_ROOM.exec(name)
  if (student)
    return { kind: 'student', name, app: student[1] as 'bp' | 'wxa', studentId: Number(student[2]) }
  // Whatever looks like a student's room and is none is no device either.
  if (/^(bp|wxa)_student_/.test(name) || !SERIAL_NO.test(name)) return undefined
  return { kind: 'device', name, serialNo: name }
}

/** Who may join rooms: everybody, or who is entitled to. */
export type RoomAccess = 'open' | 'ticket'

/** What the registry says of an authenticated device. */
export interface Device {
  readonly serialNo: string
  /** The students of the class it is bound to. */
  readonly studentIds: ReadonlySet<number>
}

/** May this device join the room without a ticket? */
export function isOwnRoom(device: Device | undefined, room: Room): boolean {
  if (device === undefined) return false
  if (room.kind === 'device') return room.serialNo === device.serialNo
  return room.app === 'bp' && device.studentIds.has(room.studentId)
}

/** The rooms that a ticket's `rooms` claim lists. */
export function roomsOfTicket(claims: Readonly<Record<string, unknown>>): ReadonlySet<string> {
  const { rooms } = claims
  return new Set(Array.isArray(rooms) ? rooms.filter((room) => typeof room === 'string') : [])
}
