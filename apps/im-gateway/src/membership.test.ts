import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type MembershipEffect, Memberships } from './membership.ts'

const listed = (convId: string, version: number, maxSeq = 0) => ({
  convId,
  version: BigInt(version),
  maxSeq: BigInt(maxSeq),
})
const change = (convId: string, version: number, member: boolean) => ({ ...listed(convId, version), member })

test('a list is followed; the next one replaces it', () => {
  const memberships = new Memberships(10)
  memberships.asking()
  expect(memberships.listed([listed('a', 1, 5), listed('b', 1)])).toEqual([
    { type: 'follow', convId: 'a', maxSeq: 5n },
    { type: 'follow', convId: 'b', maxSeq: 0n },
  ])
  memberships.asking()
  expect(memberships.listed([listed('b', 2), listed('c', 1)])).toEqual([
    { type: 'leave', convId: 'a' },
    { type: 'follow', convId: 'c', maxSeq: 0n },
  ])
  expect([...memberships]).toEqual(['b', 'c'])
  expect(memberships.size).toBe(2)
})

test('a change that the list contains does nothing; a newer one does', () => {
  const memberships = new Memberships(10)
  memberships.asking()
  memberships.listed([listed('a', 7)])
  expect(memberships.changed(change('a', 6, false))).toEqual([])
  expect(memberships.changed(change('a', 7, true))).toEqual([])
  expect(memberships.changed(change('a', 8, false))).toEqual([{ type: 'leave', convId: 'a' }])
  // It overtook the removal.
  expect(memberships.changed(change('a', 5, true))).toEqual([])
})

test('changes that come while the list is on its way outlive it', () => {
  const memberships = new Memberships(10)
  memberships.asking()
  memberships.listed([listed('old', 1)])
  memberships.asking()
  memberships.changed(change('new', 3, true))
  memberships.changed(change('old', 2, false))
  expect(memberships.listed([listed('old', 1)])).toEqual([])
  expect([...memberships]).toEqual(['new'])
})

test('beyond the limit nothing more is followed', () => {
  const memberships = new Memberships(2)
  memberships.asking()
  expect(memberships.listed([listed('a', 1), listed('b', 1), listed('c', 1)])).toHaveLength(2)
  expect(memberships.changed(change('d', 1, true))).toEqual([])
  expect(memberships.changed(change('a', 2, false))).toHaveLength(1)
  expect(memberships.changed(change('d', 2, true))).toHaveLength(1)
})

test('in whatever order changes and lists come, follows and leaves alternate and end with the truth', () => {
  const history = fc.array(
    fc.record({ convId: fc.constantFrom('a', 'b', 'c'), member: fc.boolean(), listAfter: fc.boolean() }),
    { maxLength: 30 },
  )
  fc.assert(
    fc.property(history, fc.infiniteStream(fc.nat()), (events, randoms) => {
      const truth = new Map<string, { version: number; member: boolean }>()
      const snapshot = () =>
        [...truth].flatMap(([convId, { version, member }]) => (member ? [listed(convId, version)] : []))
      const inbox: (() => readonly MembershipEffect[])[] = []
      const memberships = new Memberships(10)
      const followed = new Set<string>()
      const apply = (effects: readonly MembershipEffect[]) => {
        for (const { type, convId } of effects) {
          expect(followed.has(convId)).toBe(type === 'leave')
          if (type === 'follow') followed.add(convId)
          else followed.delete(convId)
        }
      }
      for (const { convId, member, listAfter } of events) {
        const version = (truth.get(convId)?.version ?? 0) + 1
        truth.set(convId, { version, member })
        const at = (randoms.next().value ?? 0) % (inbox.length + 1)
        inbox.splice(at, 0, () => memberships.changed(change(convId, version, member)))
        if (listAfter) {
          const list = snapshot()
          memberships.asking()
          // Some changes arrive before the answer does.
          for (const deliver of inbox.splice(0, (randoms.next().value ?? 0) % (inbox.length + 1)))
            apply(deliver())
          apply(memberships.listed(list))
        }
      }
      for (const deliver of inbox) apply(deliver())
      for (const [convId, { member }] of truth) expect(memberships.has(convId)).toBe(member)
      expect([...followed].sort()).toEqual([...memberships].sort())
    }),
    { numRuns: 500 },
  )
})
