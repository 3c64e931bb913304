import type { CloseCode } from '@carillon/codec'
import { Deadline, type TimingWheel } from '@carillon/service'
import type { ClientConnection } from './client-connection.ts'

/** The youngest age at which a connection is closed, as a part of the oldest: 45 minutes of 55. */
const YOUNGEST = 9 / 11

/**
 * Closes connections at an age, so that a load balancer that cuts connections at an age of its own never does it in
 * the middle of a message. Each has a random age of its own between 9/11 of the limit and the limit: connections that
 * were opened together are not closed together.
 */
export class ConnectionRotation<C extends ClientConnection> {
  readonly #ageMaxMs: number
  readonly #wheel: TimingWheel
  readonly #code: CloseCode
  readonly #rotated: () => void
  readonly #deadlines = new Map<C, Deadline>()

  constructor(ageMaxMs: number, wheel: TimingWheel, code: CloseCode, rotated: () => void) {
    this.#ageMaxMs = ageMaxMs
    this.#wheel = wheel
    this.#code = code
    this.#rotated = rotated
  }

  opened(connection: C): void {
    if (this.#ageMaxMs === 0) return
    const deadline = new Deadline({
      due: () => {
        this.#rotated()
        connection.close(this.#code)
      },
    })
    this.#deadlines.set(connection, deadline)
    this.#wheel.set(deadline, this.#ageMaxMs * (YOUNGEST + (1 - YOUNGEST) * Math.random()))
  }

  ended(connection: C): void {
    const deadline = this.#deadlines.get(connection)
    if (deadline === undefined) return
    this.#wheel.clear(deadline)
    this.#deadlines.delete(connection)
  }
}
