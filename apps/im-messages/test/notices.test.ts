import { type ImNotice, im } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { sql } from 'kysely'
import { limits } from '../src/limits.ts'
import { AS_GATEWAYS_WAIT, engines, type MessageService, Stage } from './stage.ts'

const notice = (text: string, extra: Partial<ImNotice['notice']> = {}): ImNotice['notice'] => ({
  convId: 'notice:system',
  title: text,
  contentType: 3,
  content: Buffer.from(text).toString('base64'),
  ...extra,
})

describe.each(engines)('notices on %s', (engine) => {
  let stage: Stage
  let service: MessageService
  beforeAll(async () => {
    stage = await Stage.open(engine)
    service = await stage.service()
  })
  afterAll(() => stage.close())

  const send = async (userIds: string[], text: string, extra: Partial<ImNotice['notice']> = {}) => {
    const answer = await stage.bus.request(
      im.noticeSend,
      {},
      { userIds, notice: notice(text, extra) },
      AS_GATEWAYS_WAIT,
    )
    expect(answer).toMatchObject({ error_code: 0, error_reason: '', noticeId: expect.any(String) })
    return answer.noticeId as string
  }
  const titles = async (user: ReturnType<Stage['user']>) => {
    const { notices } = await user.pending()
    return notices.map(({ title }) => title)
  }

  test('a notice is stored for each of its users, pushed, and pending for each device until it acknowledges', async () => {
    const inbox = await stage.inbox('ann')
    const noticeId = await send(['ann', 'bob', 'ann'], 'one', {
      options: { updateConvMsg: true },
      unreadCount: 2,
    })
    await eventually(() => inbox.notices.length === 1)
    expect(inbox.notices[0]).toMatchObject({
      noticeId,
      convId: 'notice:system',
      title: 'one',
      contentType: 3,
      unreadCount: 2,
      createTime: String(stage.clock.now()),
      options: { updateConvMsg: true },
    })
    const [phone, tablet] = [stage.user('ann', 'phone'), stage.user('ann', 'tablet')]
    expect((await phone.pending()).notices).toEqual(inbox.notices)
    await send(['ann'], 'two')
    expect(await titles(tablet)).toEqual(['one', 'two'])
    await phone.ack(noticeId, 'notice:system')
    expect(await titles(phone)).toEqual(['two'])
    expect(await titles(tablet)).toEqual(['one', 'two'])
    // A device that is new starts where the furthest one stands.
    expect(await titles(stage.user('ann', 'desk', 'pc'))).toEqual(['two'])
    expect(await titles(stage.user('bob'))).toEqual(['one'])
  })

  test('acknowledgements only go forward, each channel for itself; unknown ones change nothing', async () => {
    const a1 = await send(['eve'], 'a1', { convId: 'notice:a' })
    const b1 = await send(['eve'], 'b1', { convId: 'notice:b' })
    const a2 = await send(['eve'], 'a2', { convId: 'notice:a' })
    const eve = stage.user('eve')
    await eve.ack(a2, 'notice:a')
    expect(await titles(eve)).toEqual(['b1'])
    await eve.ack(a1, 'notice:a')
    expect(await titles(eve)).toEqual(['b1'])
    await eve.ack(b1, 'notice:a')
    await eve.ack('nothing', 'notice:b')
    await eve.ack("' or 1=1 --", "notice:'b")
    await eve.ack('\0', 'x'.repeat(10_000))
    expect(await titles(eve)).toEqual(['b1'])
    // Another user's notice is unknown.
    await stage.user('carl').ack(b1, 'notice:b')
    expect(await titles(eve)).toEqual(['b1'])
    await eve.ack(b1, 'notice:b')
    expect(await titles(eve)).toEqual([])
  })

  test('twenty at a time, in order, until all are acknowledged', async () => {
    const ids: string[] = []
    for (let i = 0; i < 75; i++) ids.push(await send(['fay'], `${i}`))
    const fay = stage.user('fay')
    const seen: string[] = []
    for (let rounds = 0; rounds < 10; rounds++) {
      const { notices, more } = await fay.pending()
      expect(notices.length).toBeLessThanOrEqual(20)
      expect(more).toBe(seen.length + notices.length < 75)
      if (notices.length === 0) break
      for (const { noticeId, convId } of notices) {
        seen.push(noticeId)
        await fay.ack(noticeId, convId)
      }
    }
    expect(seen).toEqual(ids)
  })

  test('devices beyond the limit are forgotten, the one that was not seen for longest first', async () => {
    const first = await send(['hal'], 'first')
    const [old, phone] = [stage.user('hal', 'old'), stage.user('hal', 'phone')]
    await old.pending()
    await old.ack(first, 'notice:system')
    stage.clock.move(1_000)
    const second = await send(['hal'], 'second')
    await phone.pending()
    await phone.ack(second, 'notice:system')
    const third = await send(['hal'], 'third')
    const rows = async () => {
      const { rows } = await service.database.run((session) =>
        sql<{ devices: number; cursors: number }>`
          select (select count(*)::int from notice_devices where user_id = 'hal') as devices,
            (select count(distinct device)::int from notice_cursors where user_id = 'hal') as cursors`.execute(
          session,
        ),
      )
      return rows[0]
    }
    const others = async (from: number, to: number) => {
      for (let i = from; i < to; i++) await stage.user('hal', `d${i}`).pending()
    }
    stage.clock.move(1_000)
    await others(0, limits.devicesMax - 2)
    expect(await titles(old)).toEqual(['second', 'third'])
    await others(limits.devicesMax - 2, limits.devicesMax)
    expect(await rows()).toEqual({ devices: limits.devicesMax, cursors: limits.devicesMax })
    // Both are forgotten. One comes back and begins where the furthest stands; one is connected still, and acknowledges.
    expect(await titles(old)).toEqual(['third'])
    await phone.ack(third, 'notice:system')
    expect(await titles(phone)).toEqual([])
    expect(await titles(stage.user('hal', `d${limits.devicesMax - 1}`))).toEqual(['third'])
    // What nobody sent does not make a device.
    await stage.user('hal', 'nobody').ack('nothing', 'notice:system')
    expect(await rows()).toEqual({ devices: limits.devicesMax, cursors: limits.devicesMax })
  })

  test('what is for those who are online is pushed once and not stored', async () => {
    const inbox = await stage.inbox('gus')
    await send(['gus'], 'now', { options: { onlinePushOnce: true } })
    await eventually(() => inbox.notices.length === 1)
    expect(inbox.notices[0]?.options?.onlinePushOnce).toBe(true)
    expect(await titles(stage.user('gus'))).toEqual([])
  })

  test('a large audience gets each its own', async () => {
    const userIds = Array.from({ length: 3_000 }, (_, i) => `many_${i}`)
    await send(userIds, 'all')
    expect(await titles(stage.user('many_0'))).toEqual(['all'])
    expect(await titles(stage.user('many_2999'))).toEqual(['all'])
  })

  test('what is not a notice is refused with the reason', async () => {
    const refused = { userIds: ['ann'], notice: notice('x', { convId: 'nonsense' }) }
    expect(await stage.bus.request(im.noticeSend, {}, refused, AS_GATEWAYS_WAIT)).toEqual({
      error_code: -1,
      error_reason: 'convId is not the id of a conversation',
    })
    const large = { userIds: ['ann'], notice: notice('x', { title: 'x'.repeat(70_000) }) }
    expect(await stage.bus.request(im.noticeSend, {}, large, AS_GATEWAYS_WAIT)).toMatchObject({
      error_code: -1,
    })
  })
})
