import { limits } from './limits.ts'
import type { StoredMessage } from './message.ts'
import type { Committed } from './store/commit-plan.ts'

/** The first messages of those that were sent again: what their sender's connections are told. */
export interface Echo {
  readonly senderId: string
  readonly messages: readonly StoredMessage[]
}

/**
 * What is pushed again to senders: each message once, however often it was sent again, and so many bytes for each sender.
 * A request of some bytes may name messages of many.
 */
export function echoesOf({ outcomes }: Pick<Committed, 'outcomes'>): Echo[] {
  const echoes = new Map<string, { bytes: number; readonly messages: Map<string, StoredMessage> }>()
  for (const outcome of outcomes) {
    for (const receipt of outcome.ok ? outcome.receipts : []) {
      if (receipt.type !== 'duplicate') continue
      const { senderId, message } = receipt
      const { convId, seq, serverTimeMs, body } = message
      if (body === undefined) continue
      const echo = echoes.get(senderId) ?? { bytes: 0, messages: new Map() }
      const key = `${seq} ${convId}`
      if (echo.messages.has(key) || echo.bytes + body.length > limits.echoBytesMax) continue
      echo.messages.set(key, { convId, seq, serverTimeMs, body })
      echo.bytes += body.length
      echoes.set(senderId, echo)
    }
  }
  return [...echoes].map(([senderId, { messages }]) => ({ senderId, messages: [...messages.values()] }))
}
