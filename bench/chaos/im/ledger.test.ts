import { postgresBin } from '@carillon/testkit'
import { describe, expect, test } from '@jest/globals'
import { Ledger, type Seen } from './ledger.ts'
import { runImChaos } from './run.ts'

const message = (seq: number, clientMsgId: string, convId = 'group:a'): Seen => ({
  convId,
  seq,
  serverMsgId: `${convId}-${seq}`,
  clientMsgId,
  senderId: 'ann',
  text: clientMsgId,
})
const members = new Map([['group:a', ['ann', 'bob']]])

/** A ledger in which all is well, until something is changed. */
function sound(): Ledger {
  const ledger = new Ledger()
  for (const user of ['ann', 'bob']) for (const seq of [1, 2]) ledger.saw(user, message(seq, `m${seq}`))
  ledger.answered.set('m1', 'group:a').set('m2', 'group:a')
  ledger.notices.set('n1', ['ann'])
  ledger.delivered.add('ann n1')
  return ledger
}

describe('the ledger', () => {
  test('is content where all is well', () => {
    const ledger = sound()
    ledger.close(members, new Map([['group:a', 2]]))
    expect(ledger.violations).toEqual([])
  })

  test.each<[string, (ledger: Ledger) => void, number, string]>([
    [
      'a message that a member has not got',
      (l) => l.saw('ann', message(3, 'm3')),
      3,
      'bob has not got group:a-3',
    ],
    ['a gap', () => {}, 3, 'ann has not got group:a-3'],
    [
      'a lost message',
      (l) => l.answered.set('m9', 'group:a'),
      2,
      'm9 was answered with Success and is not stored',
    ],
    ['two at one place', (l) => l.saw('bob', message(2, 'other')), 2, 'bob saw two messages at group:a-2'],
    [
      'one at two places',
      (l) => ['ann', 'bob'].map((user) => l.saw(user, message(3, 'm1'))),
      3,
      'm1 is stored twice: group:a-1 and group:a-3',
    ],
    ['more than there are', () => {}, 1, 'ann has more messages of group:a than there are'],
    ['a lost notice', (l) => l.notices.set('n2', ['bob']), 2, 'notice n2 never reached bob'],
  ])('finds %s', (_what, change, highest, violation) => {
    const ledger = sound()
    change(ledger)
    ledger.close(members, new Map([['group:a', highest]]))
    expect(ledger.violations).toContain(violation)
  })
})

describe('clients, while anything may be killed at any time', () => {
  const engines = postgresBin() === undefined ? (['pglite'] as const) : (['pglite', 'postgres'] as const)

  test.each(engines)(
    'lose nothing and get nothing twice (%s)',
    async (engine) => {
      const ledger = await runImChaos({ engine, seconds: 8, seed: 1, clients: 12 })
      expect(ledger.violations).toEqual([])
      expect(ledger.answered.size).toBeGreaterThan(20)
    },
    600_000,
  )

  const withPostgres = postgresBin() === undefined ? test.skip : test
  withPostgres(
    'the database away (PostgreSQL): RetryError and /readyz say so, nothing is lost, all goes on by itself',
    async () => {
      const ledger = await runImChaos({
        engine: 'postgres',
        seconds: 0,
        databaseAwaySeconds: 2,
        seed: 2,
        clients: 12,
      })
      expect(ledger.violations).toEqual([])
      expect(ledger.answered.size).toBeGreaterThan(40)
    },
    600_000,
  )
})
