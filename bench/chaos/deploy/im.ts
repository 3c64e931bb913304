import { im } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { Choices } from '../im/choices.ts'
import { ImClient, pause } from '../im/client.ts'
import { Ledger } from '../im/ledger.ts'
import type { Traffic, TrafficOptions } from './traffic.ts'

const GROUP_SIZE = 10
const SEND_MS = 1_000
const SETTLE_MS = 60_000

/** Tells the sessions of what the clients count. */
class SessionLedger extends Ledger {
  readonly #opened: () => void
  readonly #closed: (code: number) => void

  constructor(opened: () => void, closed: (code: number) => void) {
    super()
    this.#opened = opened
    this.#closed = closed
  }

  override count(what: string, by = 1): void {
    super.count(what, by)
    if (what === 'connections opened') this.#opened()
    const code = /^connections ended with (\d+)$/.exec(what)?.[1]
    if (code !== undefined) this.#closed(Number(code))
  }
}

/** Groups that talk; in the end every member has every message that was answered. */
export function imTraffic({ clients: count, bus, endPoints, sessions, random }: TrafficOptions): Traffic {
  let stopping = false
  const members = new Map<string, string[]>()
  const endPoint: string[] = []
  const clients = Array.from({ length: count }, (_, i) => {
    const userId = `talker_${i}`
    const convId = `group:rollout${Math.floor(i / GROUP_SIZE)}`
    members.set(convId, [...(members.get(convId) ?? []), userId])
    return { userId, convId }
  })
  const ledger = new SessionLedger(
    () => sessions.opened(''),
    (code) => {
      if (!stopping) sessions.closed('', code, [1000, 3000, 4403, 4429].includes(code))
    },
  )
  const running: ImClient[] = []
  const ended = { now: false }
  let work: Promise<unknown>[] = []
  let asking: NodeJS.Timeout | undefined
  return {
    async start() {
      for (const [convId, list] of members) {
        await eventually(async () => {
          const answer = await bus.request(im.convPut, {}, { convId, members: list }, { timeoutMs: 12_000 })
          return answer.error_code === 0
        }, 60_000)
      }
      const ask = async () => endPoint.splice(0, 1, await endPoints.of('im'))
      await ask()
      // Each connect takes the newest answer.
      asking = setInterval(() => void ask(), 100)
      for (const { userId, convId } of clients) {
        const seed = Math.floor(random() * 1_000_000)
        const client = new ImClient(userId, endPoint, [convId], ledger, new Choices(seed))
        running.push(client)
        work.push(client.run())
      }
      await eventually(() => running.every(({ synced }) => synced), SETTLE_MS)
      const talking = running.map(async (client, i) => {
        await pause(random() * SEND_MS)
        while (!ended.now) {
          await client.send((clients[i] as { convId: string }).convId)
          await pause(SEND_MS * (0.5 + random()))
        }
      })
      work = [...work, ...talking]
    },
    async finish() {
      ended.now = true
      await eventually(() => running.every(({ unanswered, synced }) => unanswered === 0 && synced), SETTLE_MS)
      const highest = new Map<string, number>()
      await eventually(async () => {
        for (const client of running)
          for (const [convId, seq] of (await client.highest()) ?? []) highest.set(convId, seq)
        return clients.every(({ userId, convId }) => {
          const last = highest.get(convId)
          return last !== undefined && ledger.seenBy(userId, convId).size >= last
        })
      }, SETTLE_MS).catch(() => {})
      ledger.close(members, highest)
      const expected = clients.reduce((sum, { convId }) => sum + (highest.get(convId) ?? 0), 0)
      const missed = ledger.violations.filter((each) => each.includes('has not got')).length
      const resent = ledger.countOf('sends repeated')
      return {
        expected,
        missed,
        broken: ledger.violations.slice(0, 5),
        notes: [`${ledger.answered.size} messages answered, ${resent} sends repeated`],
      }
    },
    stop() {
      stopping = true
      clearInterval(asking)
      for (const client of running) client.stop()
    },
  }
}
