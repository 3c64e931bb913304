/** One message as somebody saw it. */
export interface Seen {
  readonly convId: string
  readonly seq: number
  readonly serverMsgId: string
  readonly clientMsgId: string
  readonly senderId: string
  readonly text: string
}

/** What was promised, and what was seen; everything that does not fit together is a violation. */
export class Ledger {
  readonly violations: string[] = []
  /** Messages that were answered with Success: clientMsgId to conversation. */
  readonly answered = new Map<string, string>()
  /** What each user has seen: conversation to seq to message. */
  readonly #seen = new Map<string, Map<string, Map<number, Seen>>>()
  /** Notices that were answered: noticeId to its users. */
  readonly notices = new Map<string, readonly string[]>()
  /** Notices that reached a user: `user noticeId`. */
  readonly delivered = new Set<string>()
  /** Acknowledgements that were answered with Success: `user noticeId`. */
  readonly acknowledged = new Set<string>()
  readonly #counts = new Map<string, number>()

  count(what: string, by = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + by)
  }

  countOf(what: string): number {
    return this.#counts.get(what) ?? 0
  }

  get counts(): [string, number][] {
    return [...this.#counts]
  }

  violation(text: string): void {
    this.violations.push(text)
  }

  /** A user got a message, by a push or by a sync. Answers whether it was new to that user. */
  saw(userId: string, message: Seen): boolean {
    const ofUser = this.#seen.get(userId) ?? new Map<string, Map<number, Seen>>()
    this.#seen.set(userId, ofUser)
    const ofConversation = ofUser.get(message.convId) ?? new Map<number, Seen>()
    ofUser.set(message.convId, ofConversation)
    const before = ofConversation.get(message.seq)
    if (before !== undefined) {
      if (before.clientMsgId !== message.clientMsgId || before.text !== message.text) {
        this.violation(`${userId} saw two messages at ${message.convId}-${message.seq}`)
      }
      return false
    }
    if (message.serverMsgId !== `${message.convId}-${message.seq}`) {
      this.violation(`${message.serverMsgId} stands at ${message.convId}-${message.seq}`)
    }
    ofConversation.set(message.seq, message)
    return true
  }

  seenBy(userId: string, convId: string): ReadonlyMap<number, Seen> {
    return this.#seen.get(userId)?.get(convId) ?? new Map()
  }

  /** Holds everything against each other. `highest` is the last number of each conversation, as the service says. */
  close(members: ReadonlyMap<string, readonly string[]>, highest: ReadonlyMap<string, number>): void {
    const places = new Map<string, string>()
    for (const [convId, users] of members) {
      const last = highest.get(convId) ?? 0
      this.count('messages stored', last)
      const [first] = users as [string]
      const reference = this.seenBy(first, convId)
      for (const userId of users) {
        const seen = this.seenBy(userId, convId)
        for (let seq = 1; seq <= last; seq++) {
          const message = seen.get(seq)
          if (message === undefined) this.violation(`${userId} has not got ${convId}-${seq}`)
          else if (message.clientMsgId !== reference.get(seq)?.clientMsgId) {
            this.violation(`${userId} and ${first} have different messages at ${convId}-${seq}`)
          }
        }
        if (seen.size > last) this.violation(`${userId} has more messages of ${convId} than there are`)
      }
      for (const { clientMsgId, seq } of reference.values()) {
        const place = `${convId}-${seq}`
        const other = places.get(clientMsgId)
        if (other !== undefined) this.violation(`${clientMsgId} is stored twice: ${other} and ${place}`)
        places.set(clientMsgId, place)
      }
    }
    for (const [clientMsgId, convId] of this.answered) {
      if (!places.get(clientMsgId)?.startsWith(`${convId}-`)) {
        this.violation(`${clientMsgId} was answered with Success and is not stored`)
      }
    }
    for (const [noticeId, users] of this.notices) {
      for (const userId of users) {
        if (!this.delivered.has(`${userId} ${noticeId}`)) {
          this.violation(`notice ${noticeId} never reached ${userId}`)
        }
      }
    }
    this.count('messages answered with Success', this.answered.size)
    this.count('notices answered', this.notices.size)
    this.count('notices that reached a user', this.delivered.size)
    this.count('notices acknowledged by a user', this.acknowledged.size)
  }
}
