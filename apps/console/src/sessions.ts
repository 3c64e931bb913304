import { createHash, randomBytes } from 'node:crypto'
import type { Role } from './api.ts'

/** Somebody who has signed in. */
export interface Session {
  readonly key: string
  readonly user: string
  readonly role: Role
  /** Wall time in milliseconds, as the page shows it. */
  readonly expiresAtMs: number
  readonly development: boolean
  /** Calls back once, when the session ends before its time. */
  readonly ended: Set<() => void>
}

interface Held {
  readonly session: Session
  /** Monotonic. */
  readonly untilMs: number
}

const SESSIONS_MAX = 1_000
const SESSIONS_PER_USER_MAX = 20
const SESSION_MS_MAX = 8 * 3_600_000

/**
 * Who is signed in, by a random id that only the browser has: what is kept here is its hash. A session ends with its
 * token, after eight hours, when its user signs out, or when the same user has signed in many times since.
 */
export class Sessions {
  readonly #clock: { now(): number; monotonic(): number }
  readonly #held = new Map<string, Held>()

  constructor(clock: { now(): number; monotonic(): number }) {
    this.#clock = clock
  }

  get size(): number {
    return this.#held.size
  }

  /** Answers the id for the cookie. `expiresAtMs`: when the token ends, in wall time. */
  open(
    who: Pick<Session, 'user' | 'role' | 'development'>,
    expiresAtMs: number,
  ): { id: string; session: Session } {
    this.#sweep()
    const lifeMs = Math.min(SESSION_MS_MAX, expiresAtMs - this.#clock.now())
    const theirs = [...this.#held.values()].filter(({ session }) => session.user === who.user)
    if (theirs.length >= SESSIONS_PER_USER_MAX) this.close((theirs[0] as Held).session)
    const oldest = this.#held.values().next().value
    if (this.#held.size >= SESSIONS_MAX && oldest !== undefined) this.close(oldest.session)
    const id = randomBytes(32).toString('base64url')
    const session: Session = {
      ...who,
      key: keyOf(id),
      expiresAtMs: this.#clock.now() + lifeMs,
      ended: new Set(),
    }
    this.#held.set(session.key, { session, untilMs: this.#clock.monotonic() + lifeMs })
    return { id, session }
  }

  find(id: string): Session | undefined {
    const held = this.#held.get(keyOf(id))
    if (held === undefined) return undefined
    if (held.untilMs > this.#clock.monotonic()) return held.session
    this.close(held.session)
    return undefined
  }

  /** Whether the session goes on; ends it where its time is over. */
  isOpen(session: Session): boolean {
    const held = this.#held.get(session.key)
    if (held === undefined) return false
    if (held.untilMs > this.#clock.monotonic()) return true
    this.close(session)
    return false
  }

  close(session: Session): void {
    if (!this.#held.delete(session.key)) return
    for (const end of [...session.ended]) end()
  }

  #sweep(): void {
    for (const { session } of [...this.#held.values()]) this.isOpen(session)
  }
}

function keyOf(id: string): string {
  return createHash('sha256').update(id).digest('base64url')
}
