import { randomBytes } from 'node:crypto'
import type {
  VoiceAction,
  VoiceAttempt,
  VoiceDeliver,
  VoiceDelivered,
  VoiceUnconfirmed,
} from '@carillon/events'
import { type Clock, Deadline, type TimingWheel } from '@carillon/service'
import type { UserRecord } from './user.ts'

/** An attempt, and the instance that waits for what becomes of it. */
export interface AttemptRef {
  readonly attempt: string
  readonly from: string
}

/** A notice on its way to one member after the other. */
export interface Notice {
  readonly action: VoiceAction
  readonly channelName: string
  /** Whom it is about: such a member does not get it. */
  readonly about: string | undefined
  /** Whom a report must name; undefined where the notice itself names nobody. */
  readonly reportNames: string | undefined
  /** The client's frame as JSON text. */
  readonly text: string
  /** Whether somebody has to report it. */
  readonly confirmable: boolean
  /** The next one to try among those that are accepted, if there is one. */
  readonly pick: (accepts: (record: UserRecord) => boolean) => UserRecord | undefined
  /** Whether it is still ours: false once another instance may have taken it over. */
  readonly isOurs: () => boolean
}

export interface RelayLimits {
  readonly timeoutMs: number
  readonly attemptsMax: number
  readonly openPerRoomMax: number
}

export interface RelaysOptions {
  readonly limits: RelayLimits
  readonly clock: Clock
  readonly wheel: TimingWheel
  /** This instance's inbox for outcomes. */
  readonly inbox: () => string
  /** Whether the connections of that lease may still be there: not once it was taken from its instance. */
  readonly isReachable: (lease: string) => boolean
  /** Hands the notice to a connection, here or on another instance. May throw while NATS is away. */
  readonly deliver: (lease: string, deliver: VoiceDeliver) => void
  /** Resolves when the directory has seen everything that is stored now. */
  readonly upToDate: () => Promise<void>
  readonly count: (event: 'confirmed' | 'redriven' | 'unconfirmed') => void
}

export interface RelayResult extends VoiceDelivered {
  /** Why nobody confirmed it; undefined where somebody did, or nobody had to. */
  readonly unconfirmed: VoiceUnconfirmed['reason'] | undefined
  readonly tried: readonly string[]
}

type Outcome = VoiceAttempt['kind'] | 'timeout'

interface Attempt {
  readonly userId: string
  /** Ends the wait for this attempt. */
  settle(outcome: Outcome): void
  /** A report confirms the relay, even one that comes after its time. */
  confirm(userId: string): void
  sent(): void
}

/** Relays notices: to one live member at a time, until one of them has reported or none is left. */
export class Relays {
  readonly #options: RelaysOptions
  readonly #attempts = new Map<string, Attempt>()
  readonly #openPerRoom = new Map<string, number>()
  readonly #prefix = randomBytes(8).toString('hex')
  #lastAttempt = 0
  #open = 0

  constructor(options: RelaysOptions) {
    this.#options = options
  }

  /** Relays under way. */
  get open(): number {
    return this.#open
  }

  /** What an instance tells of an attempt. Late and foreign ones are passed over. */
  outcome({ attempt: id, kind }: VoiceAttempt): void {
    const attempt = this.#attempts.get(id)
    if (attempt === undefined) return
    if (kind === 'sent') attempt.sent()
    else if (kind === 'reported') attempt.confirm(attempt.userId)
    else attempt.settle('gone')
  }

  /** Relays to the end. Undefined if the notice was let go of, since another instance has taken it over. */
  async relay(notice: Notice): Promise<RelayResult | undefined> {
    const { limits } = this.#options
    const inRoom = this.#openPerRoom.get(notice.channelName) ?? 0
    const full = inRoom >= limits.openPerRoomMax
    this.#openPerRoom.set(notice.channelName, inRoom + 1)
    this.#open += 1
    const attempts: string[] = []
    try {
      return await this.#relay(notice, full ? 1 : limits.attemptsMax, full, attempts)
    } finally {
      for (const id of attempts) this.#attempts.delete(id)
      this.#open -= 1
      const left = (this.#openPerRoom.get(notice.channelName) ?? 1) - 1
      if (left > 0) this.#openPerRoom.set(notice.channelName, left)
      else this.#openPerRoom.delete(notice.channelName)
    }
  }

  async #relay(
    notice: Notice,
    attemptsMax: number,
    full: boolean,
    attempts: string[],
  ): Promise<RelayResult | undefined> {
    const { count } = this.#options
    const tried = new Set<string>()
    const names: string[] = []
    let delivered = false
    let confirmedBy: string | undefined
    let reason: VoiceUnconfirmed['reason'] = full ? 'too_many_relays' : 'too_many_attempts'
    while (attempts.length < attemptsMax && confirmedBy === undefined) {
      if (!notice.isOurs()) return undefined
      const member = await this.#next(notice, tried)
      if (member?.session == null) {
        reason = 'nobody_left'
        break
      }
      tried.add(member.session.connection)
      names.push(member.user_id)
      if (attempts.length > 0) count('redriven')
      const outcome = await new Promise<Outcome>((resolve) => {
        const id = this.#begin(notice, member, resolve, {
          sent: () => {
            delivered = true
            if (!notice.confirmable) resolve('sent')
          },
          confirm: (userId) => {
            delivered = true
            confirmedBy = userId
            for (const each of attempts) this.#attempts.get(each)?.settle('reported')
          },
        })
        attempts.push(id)
      })
      if (outcome === 'sent') return { ...result(true, member.user_id, false, names), unconfirmed: undefined }
    }
    if (confirmedBy !== undefined) {
      count('confirmed')
      return { ...result(true, confirmedBy, true, names), unconfirmed: undefined }
    }
    if (!notice.isOurs()) return undefined
    count('unconfirmed')
    return { ...result(delivered, delivered ? (names.at(-1) ?? '') : '', false, names), unconfirmed: reason }
  }

  /** A member that was not tried; before nobody is said to be left, the directory is brought up to date. */
  async #next(notice: Notice, tried: ReadonlySet<string>): Promise<UserRecord | undefined> {
    const { isReachable, upToDate } = this.#options
    const accepts = ({ session, user_id }: UserRecord) =>
      session !== null &&
      user_id !== notice.about &&
      !tried.has(session.connection) &&
      isReachable(session.lease)
    const member = notice.pick(accepts)
    if (member !== undefined) return member
    await upToDate()
    return notice.pick(accepts)
  }

  #begin(
    notice: Notice,
    { user_id: userId, session }: UserRecord,
    resolve: (outcome: Outcome) => void,
    hooks: Pick<Attempt, 'sent' | 'confirm'>,
  ): string {
    const { wheel, limits, deliver, inbox } = this.#options
    const id = `${this.#prefix}-${++this.#lastAttempt}`
    const deadline = new Deadline({ due: () => resolve('timeout') })
    this.#attempts.set(id, {
      userId,
      ...hooks,
      settle: (outcome) => {
        wheel.clear(deadline)
        resolve(outcome)
      },
    })
    wheel.set(deadline, limits.timeoutMs)
    const { lease, connection } = session as NonNullable<UserRecord['session']>
    const { action, reportNames: about = '', text: frame } = notice
    try {
      deliver(lease, { attempt: id, from: inbox(), user_id: userId, connection, action, about, frame })
    } catch {
      // NATS is away: the attempt runs into its time, and the next one may go through.
    }
    return id
  }
}

function result(delivered: boolean, relayUserId: string, confirmed: boolean, tried: readonly string[]) {
  return { delivered, relay_user_id: relayUserId, confirmed, tried }
}
