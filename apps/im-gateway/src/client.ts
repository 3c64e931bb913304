import type { Connection } from '@carillon/gateway'
import type { Deadline } from '@carillon/service'
import type { ImIdentity } from './authenticate.ts'
import type { Claimant } from './device-claims.ts'
import { type NoticeDelivery, noNotices } from './notice-delivery.ts'
import { closeCodes } from './protocol.ts'
import { RequestBudget } from './request-budget.ts'

/** One device's connection. */
export class Client implements Claimant {
  readonly connection: Connection
  readonly identity: ImIdentity
  readonly requests = new RequestBudget()
  /** `opening` until the text frame `connected`: nothing is pushed before. */
  phase: 'opening' | 'online' | 'ended' = 'opening'
  /** Another connection stands for the device: it stays online when this one ends. */
  isReplaced = false
  notices: NoticeDelivery = noNotices
  /** Set while notices wait for their acknowledgement. */
  noticeDeadline: Deadline | undefined

  constructor(connection: Connection, identity: ImIdentity) {
    this.connection = connection
    this.identity = identity
  }

  get connectionId(): number {
    return this.connection.id
  }

  replaced(): void {
    this.isReplaced = true
    this.connection.close(closeCodes.replaced)
  }
}
