import { im as proto } from '@carillon/codec'
import { im } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { sql } from 'kysely'
import { acceptMessage } from '../src/message.ts'
import { commit } from '../src/store/commit.ts'
import { storeNotice } from '../src/store/inbox.ts'
import { AS_GATEWAYS_WAIT, engines, type MessageService, Stage } from './stage.ts'

/** Commits as a service does that dies before it can publish. */
async function commitAndDie(service: MessageService, stage: Stage, convId: string, texts: string[]) {
  const now = stage.clock.now()
  const user = stage.user('ann')
  const messages = texts.map((text) => acceptMessage(user.message(convId, text), 'ann', now))
  await service.database.transaction((session) => commit(session, [{ messages, trusted: false }], now))
}

describe.each(engines)('from commit to push on %s', (engine) => {
  let stage: Stage
  beforeEach(async () => {
    stage = await Stage.open(engine)
  })
  afterEach(() => stage.close())

  test('what was committed and not published is published by whoever lives, before anything newer', async () => {
    const service = await stage.service()
    await stage.putGroup('group:a', ['ann', 'bob'])
    const pushed = await stage.conversation('group:a')
    const inbox = await stage.inbox('ann')
    await commitAndDie(service, stage, 'group:a', ['one', 'two'])
    const now = stage.clock.now()
    await service.database.run((session) =>
      storeNotice(session, ['ann'], { convId: 'notice:x', noticeId: 'n1', body: Buffer.alloc(0) }, now),
    )
    await stage.user('bob').send('group:a', 'three')
    await eventually(() => pushed.messages.length === 3)
    expect(pushed.seqs).toEqual(['1', '2', '3'])

    await commitAndDie(service, stage, 'group:a', ['four'])
    stage.clock.move(3_000)
    await eventually(() => pushed.messages.length === 4 && inbox.notices.length === 1)
    expect(pushed.seqs).toEqual(['1', '2', '3', '4'])
    await eventually(async () => {
      const metrics = await service.metrics.registry.metrics()
      return /carillon_im_outbox_swept_total\{[^}]*\} [1-9]/.test(metrics)
    })
  })

  test('what was committed by a clock that was ahead does not wait for that time', async () => {
    const service = await stage.service()
    await stage.putGroup('group:a', ['ann'])
    const pushed = await stage.conversation('group:a')
    const inbox = await stage.inbox('ann')
    await commitAndDie(service, stage, 'group:a', ['one'])
    const ahead = stage.clock.now()
    await service.database.run((session) =>
      storeNotice(session, ['ann'], { convId: 'notice:x', noticeId: 'n1', body: Buffer.alloc(0) }, ahead),
    )
    stage.clock.setWallClock(-3_600_000)
    await eventually(() => pushed.messages.length === 1 && inbox.notices.length === 1)
  })

  test('a service that starts again publishes what it left, whatever the clock says', async () => {
    const before = await stage.service()
    await stage.putGroup('group:a', ['ann'])
    const pushed = await stage.conversation('group:a')
    // Without draining, as far as one process allows: its workers have stopped before it is there.
    await before.outboxes.stop()
    await commitAndDie(before, stage, 'group:a', ['left behind'])
    await before.stop()
    expect(pushed.messages).toHaveLength(0)
    await stage.service()
    await eventually(() => pushed.messages.length === 1)
  })

  test('while the broker is away nothing is lost and nothing is published out of order', async () => {
    const service = await stage.service()
    await stage.putGroup('group:a', ['ann'])
    const pushed = await stage.conversation('group:a')
    const ann = stage.user('ann')
    for (let i = 1; i <= 5; i++) await ann.sendAll([ann.message('group:a', `${i}`)], i)
    await stage.nats.halt('SIGKILL')
    await eventually(() => !service.bus.connected)
    stage.clock.move(10_000)
    await eventually(async () => {
      const { rows } = await service.database.run((session) =>
        sql<{ count: number }>`select count(*)::int as count from messages`.execute(session),
      )
      return rows[0]?.count === 5
    })
    const outbox = async () => {
      const { rows } = await service.database.run((session) =>
        sql<{ count: number }>`select count(*)::int as count from outbox`.execute(session),
      )
      return rows[0]?.count
    }
    expect(await outbox()).toBeGreaterThan(0)
    await stage.nats.resume()
    await eventually(async () => (await outbox()) === 0, 60_000)
    await eventually(() => stage.bus.connected)
    // Whoever was not back when they were published, as a gateway may be, asks for them.
    const request = proto.rpc.CatchUpReq.encode({ items: [{ convId: 'group:a', afterSeq: '0' }] }).finish()
    const { items } = proto.rpc.CatchUpResp.decode(
      await stage.bus.request(im.catchUp, {}, request, AS_GATEWAYS_WAIT),
    )
    const texts = items[0]?.messages?.map((bytes) =>
      Buffer.from(proto.MsgData.decode(bytes).content).toString(),
    )
    expect(texts).toEqual(['1', '2', '3', '4', '5'])
    await ann.send('group:a', '6')
    await eventually(() => pushed.seqs.at(-1) === '6')
    // Where the broker has not confirmed in time, they come again.
    const seqs = [...new Set(pushed.seqs)]
    expect(seqs).toEqual(['1', '2', '3', '4', '5', '6'].slice(-seqs.length))
  })
})

const shared = engines.filter((engine) => engine === 'PostgreSQL')
const several = shared.length > 0 ? describe.each(shared) : describe.skip.each(['PostgreSQL'] as const)

several('several message services on %s', (engine) => {
  let stage: Stage
  beforeEach(async () => {
    stage = await Stage.open(engine)
  })
  afterEach(() => stage.close())

  test('they share the requests; numbers have no gaps and pushes keep their order', async () => {
    // Both migrate at once.
    const services = await Promise.all([stage.service(), stage.service()])
    const groups = ['group:a', 'group:b', 'group:c']
    for (const group of groups) await stage.putGroup(group, ['u0', 'u1', 'u2'])
    const pushed = await Promise.all(groups.map((group) => stage.conversation(group)))
    await Promise.all(
      Array.from({ length: 300 }, (_, i) => {
        const user = stage.user(`u${i % 3}`)
        // Batches over several conversations, in either order.
        const targets = i % 2 ? groups : groups.toReversed()
        return user.sendAll(targets.map((group) => user.message(group, `${i}`)))
      }),
    )
    const expected = Array.from({ length: 300 }, (_, i) => String(i + 1))
    await eventually(() => pushed.every(({ messages }) => messages.length >= 300))
    for (const { seqs } of pushed) expect(seqs).toEqual(expected)
    for (const service of services) {
      const metrics = await service.metrics.registry.metrics()
      expect(metrics).toMatch(
        /carillon_im_rpc_total\{request="im.rpc.SendMsgList",code="Success"[^}]*\} [1-9]/,
      )
    }
  })

  test('a delayed message is sent once, by one of them', async () => {
    await Promise.all([stage.service(), stage.service(), stage.service()])
    await stage.putGroup('group:a', ['ann'])
    const pushed = await stage.conversation('group:a')
    const ann = stage.user('ann')
    for (let i = 0; i < 50; i++) await ann.sendAll([ann.message('group:a', `${i}`)], 60 + i)
    stage.clock.move(200_000)
    await eventually(() => pushed.messages.length >= 50)
    expect(pushed.seqs).toEqual(Array.from({ length: 50 }, (_, i) => String(i + 1)))
    expect(pushed.messages.map(({ content }) => Number(Buffer.from(content).toString()))).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    )
    stage.clock.move(10_000)
    expect((await ann.seqs(['group:a']))['group:a']?.maxSeq).toBe('50')
  })
})
