import { im } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { sql } from 'kysely'
import { AS_GATEWAYS_WAIT, engines, type MessageService, Stage } from './stage.ts'

const DAY_MS = 86_400_000

describe.each(engines)('retention on %s', (engine) => {
  let stage: Stage
  beforeEach(async () => {
    stage = await Stage.open(engine)
  })
  afterEach(() => stage.close())

  const counts = async (service: MessageService) => {
    const { rows } = await service.database.run((session) =>
      sql<Record<'messages' | 'notices' | 'devices', number>>`
        select (select count(*)::int from messages) as messages, (select count(*)::int from notices) as notices,
          (select count(*)::int from notice_devices) as devices`.execute(session),
    )
    return rows[0]
  }

  test('old messages go, in steps; their places stay, and new ones follow them', async () => {
    const service = await stage.service()
    await stage.putGroup('group:a', ['ann'])
    const ann = stage.user('ann')
    // More than one step.
    for (let i = 0; i < 11; i++)
      await ann.sendAll(Array.from({ length: 200 }, () => ann.message('group:a', 'x')))
    stage.clock.move(20 * DAY_MS)
    await ann.send('group:a', 'young')
    await service.stop()
    const keeper = await stage.service({ IM_MESSAGE_RETENTION_DAYS: '11' })
    await eventually(async () => (await counts(keeper))?.messages === 1)
    expect((await ann.seqs(['group:a']))['group:a']?.maxSeq).toBe('2201')
    const [young, old] = await ann.sync('group:a', [2_200, 2_201])
    expect(young).toMatchObject({ seq: '2201', senderId: 'ann' })
    expect(old).toMatchObject({ seq: '2200', senderId: '', serverTime: '0' })
    await ann.send('group:a', 'next')
    expect((await ann.seqs(['group:a']))['group:a']?.maxSeq).toBe('2202')
  })

  test('notices go when they are old and every device has acknowledged them; pending ones stay', async () => {
    const service = await stage.service()
    const send = async (userIds: string[], title: string) => {
      const notice = { convId: 'notice:a', title, contentType: 1, content: '' }
      return (await stage.bus.request(im.noticeSend, {}, { userIds, notice }, AS_GATEWAYS_WAIT))
        .noticeId as string
    }
    const [phone, tablet, bob] = [stage.user('ann', 'phone'), stage.user('ann', 'tablet'), stage.user('bob')]
    await send(['ann', 'bob', 'carl'], 'one')
    const two = await send(['ann', 'bob', 'carl'], 'two')
    for (const device of [phone, tablet, bob]) await device.pending()
    await phone.ack(two, 'notice:a')
    await bob.ack(two, 'notice:a')
    stage.clock.move(40 * DAY_MS)
    await send(['bob'], 'young')
    await service.stop()
    const keeper = await stage.service()
    // Ann's tablet and Carl, who was never here, have not seen theirs.
    await eventually(async () => (await counts(keeper))?.notices === 5)
    expect((await tablet.pending()).notices.map(({ title }) => title)).toEqual(['one', 'two'])
    expect((await stage.user('carl').pending()).notices.map(({ title }) => title)).toEqual(['one', 'two'])
    expect((await bob.pending()).notices.map(({ title }) => title)).toEqual(['young'])

    // A device that never comes back is forgotten, if it is not the last one of its user.
    await keeper.stop()
    stage.clock.move(170 * DAY_MS)
    const later = await stage.service({ IM_DEVICE_RETENTION_DAYS: '0' })
    await phone.pending()
    await later.stop()
    stage.clock.move(20 * DAY_MS)
    const last = await stage.service()
    await eventually(async () => {
      const { devices, notices } = (await counts(last)) ?? {}
      return devices === 3 && notices === 3
    })
  })
})
