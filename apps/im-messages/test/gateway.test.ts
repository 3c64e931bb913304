import { decodeProto, im as proto } from '@carillon/codec'
import { type ImOfflinePush, im } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { sql } from 'kysely'
import { pushToOffline } from '../src/offline-pusher.ts'
import { AS_GATEWAYS_WAIT, engines, type MessageService, Stage } from './stage.ts'

describe.each(engines)('what gateways need, on %s', (engine) => {
  let stage: Stage
  let service: MessageService
  beforeAll(async () => {
    stage = await Stage.open(engine)
    service = await stage.service()
  })
  afterAll(() => stage.close())

  const conversations = async (userId: string, after = '') => {
    const request = proto.rpc.ConversationsReq.encode({ userId, after }).finish()
    return proto.rpc.ConversationsResp.decode(
      await stage.bus.request(im.conversations, {}, request, AS_GATEWAYS_WAIT),
    )
  }
  const catchUp = async (items: proto.rpc.CatchUpReq.Item.$Properties[]) => {
    const request = proto.rpc.CatchUpReq.encode({ items }).finish()
    return proto.rpc.CatchUpResp.decode(await stage.bus.request(im.catchUp, {}, request, AS_GATEWAYS_WAIT))
  }
  const memberChanges = async () => {
    const changes: proto.rpc.MembersChanged[] = []
    stage.bus.subscribe(im.members, {}, ({ payload }) => {
      const change = decodeProto(proto.rpc.MembersChanged, payload)
      if (change) changes.push(change)
    })
    await stage.bus.roundTrip()
    return changes
  }

  test('the conversations of a user, page by page', async () => {
    const groups = Array.from({ length: 2_003 }, (_, i) => `group:p${i}`).sort()
    await service.database.run((session) =>
      sql`
        with c as (
          insert into conversations (conv_id, outbox_no, updated_at) select unnest(${groups}::text[]), 1, 0
        ) insert into members (conv_id, user_id, min_seq, joined_at) select unnest(${groups}::text[]), 'pat', 0, 0
        `.execute(session),
    )
    await stage.user('pat').send('group:p7', 'x')
    const first = await conversations('pat')
    expect(first.memberships).toHaveLength(2_000)
    expect(first.more).toBe(true)
    const rest = await conversations('pat', first.memberships.at(-1)?.convId as string)
    expect(rest.more).toBe(false)
    const all = [...first.memberships, ...rest.memberships]
    expect(all.map(({ convId }) => convId).sort()).toEqual(groups)
    expect(all.find(({ convId }) => convId === 'group:p7')).toMatchObject({ maxSeq: '1', version: '2' })
    expect((await conversations('nobody')).memberships).toEqual([])
    expect((await conversations('no user')).code).toBe(proto.ResponseBody.Code.RequestError)
  })

  test('who is a member of a conversation and how far it has come, page by page', async () => {
    const members = Array.from({ length: 503 }, (_, i) => `m${i}`)
    await stage.putGroup('group:look', members)
    await stage.user('m7').send('group:look', 'x')
    const late = { convId: 'group:look', members: ['late'] }
    await stage.bus.request(im.convAddMembers, {}, late, AS_GATEWAYS_WAIT)
    const get = (query: { convId: string; after?: string }) =>
      stage.bus.request(im.convGet, {}, query, AS_GATEWAYS_WAIT)
    const first = await get({ convId: 'group:look' })
    expect(first).toMatchObject({ error_code: 0, maxSeq: '1', memberCount: 504 })
    expect(first.members).toHaveLength(500)
    const rest = await get({ convId: 'group:look', after: first.next as string })
    expect(rest.next).toBe(undefined)
    const all = [...(first.members ?? []), ...(rest.members ?? [])]
    expect(all.map(({ userId }) => userId).sort()).toEqual([...members, 'late'].sort())
    expect(all.find(({ userId }) => userId === 'late')?.minSeq).toBe('1')
    expect(await get({ convId: 'group:none' })).toMatchObject({ error_code: -1 })
    expect(await get({ convId: "group:\0'" })).toMatchObject({
      error_code: -1,
      error_reason: 'convId: not a conversation',
    })
  })

  test('changes of members are told in their order, before the messages that follow them', async () => {
    const changes = await memberChanges()
    const order: string[] = []
    stage.bus.subscribe(im.members, { convId: 'group:m' }, ({ payload }) => {
      const { added, removed } = proto.rpc.MembersChanged.decode(payload)
      order.push(`+${added} -${removed}`)
    })
    stage.bus.subscribe(im.pushConv, { convId: 'group:m' }, () => order.push('message'))
    await stage.bus.roundTrip()
    await stage.putGroup('group:m', ['ann'])
    await stage.bus.request(
      im.convAddMembers,
      {},
      { convId: 'group:m', members: ['bob', 'ann'] },
      AS_GATEWAYS_WAIT,
    )
    await stage.user('bob').send('group:m', 'x')
    await stage.bus.request(
      im.convRemoveMembers,
      {},
      { convId: 'group:m', members: ['bob', 'carl'] },
      AS_GATEWAYS_WAIT,
    )
    await stage
      .user('dan')
      .send('single:ann-dan', 'x')
      .catch(() => {})
    await eventually(() => order.length === 4)
    expect(order).toEqual(['+ann -', '+bob -', 'message', '+ -bob'])
    const own = changes.filter(({ convId }) => convId === 'group:m')
    expect(own.map(({ version, maxSeq }) => [version, maxSeq])).toEqual([
      ['1', '0'],
      ['2', '0'],
      ['4', '1'],
    ])
    await eventually(() =>
      changes.some(({ convId, added }) => convId === 'single:ann-dan' && added.length === 2),
    )
    // Nothing changes: nothing is told.
    await stage.putGroup('group:m', ['ann'])
    expect((await conversations('ann')).memberships.find(({ convId }) => convId === 'group:m')?.version).toBe(
      '4',
    )
  })

  test('a group of ten thousand is told of in pieces that fit', async () => {
    const changes = await memberChanges()
    const members = Array.from({ length: 10_000 }, (_, i) => `${'m'.repeat(50)}_${i}`)
    // On a busy machine it may take longer than an answer; put again, it changes nothing.
    const put = (userIds: string[]) =>
      eventually(async () => (await stage.putGroup('group:huge', userIds)).error_code === 0, 200_000)
    await put(members)
    await eventually(() => changes.flatMap(({ added }) => added).length === 10_000)
    expect(changes.flatMap(({ added }) => added)).toEqual(members)
    const others = members.map((_, i) => `${'n'.repeat(50)}_${i}`)
    await put(others)
    await eventually(() => changes.flatMap(({ removed }) => removed).length === 10_000)
    const more = { convId: 'group:huge', members: ['one_more'] }
    expect(await stage.bus.request(im.convAddMembers, {}, more, AS_GATEWAYS_WAIT)).toEqual({
      error_code: -1,
      error_reason: 'a conversation has at most 10000 members',
    })
  })

  test('what a gateway has missed, oldest first, in answers that fit', async () => {
    await stage.putGroup('group:missed', ['ann'])
    const ann = stage.user('ann')
    await ann.sendAll(['1', '2', '3'].map((text) => ann.message('group:missed', text)))
    const { items } = await catchUp([
      { convId: 'group:missed', afterSeq: '1' },
      { convId: 'group:missed', afterSeq: '3' },
      { convId: 'group:unknown', afterSeq: '0' },
    ])
    expect(items.map(({ lastSeq, maxSeq }) => [lastSeq, maxSeq])).toEqual([
      ['3', '3'],
      ['3', '3'],
      ['0', '0'],
    ])
    expect(items[0]?.messages?.map((bytes) => proto.MsgData.decode(bytes).seq)).toEqual(['2', '3'])
    expect(items[1]?.messages).toEqual([])

    await stage.putGroup('group:fat', ['ann'])
    for (let i = 0; i < 20; i++) await ann.send('group:fat', 'x'.repeat(60_000))
    const seqs: string[] = []
    for (let afterSeq = '0'; afterSeq !== '20'; ) {
      const [item] = (await catchUp([{ convId: 'group:fat', afterSeq }])).items
      expect(item?.maxSeq).toBe('20')
      seqs.push(...(item?.messages ?? []).map((bytes) => proto.MsgData.decode(bytes).seq))
      expect(seqs.at(-1)).toBe(item?.lastSeq)
      afterSeq = item?.lastSeq as string
    }
    expect(seqs).toEqual(Array.from({ length: 20 }, (_, i) => String(i + 1)))
  })

  test('members without a connection are told of, where a message asks for it', async () => {
    const members = Array.from({ length: 6_000 }, (_, i) => `crowd_${i}`)
    await stage.putGroup('group:crowd', members)
    // Two gateways hold all but three of them; one of those is the sender.
    const held = [new Set(members.slice(3, 3_000)), new Set(members.slice(2_000))]
    for (const [i, users] of held.entries()) {
      stage.bus.serve(im.presence, {}, ({ payload }) => {
        const { userIds } = proto.rpc.PresenceReq.decode(payload)
        const online = userIds.filter((userId) => users.has(userId))
        return proto.rpc.PresenceResp.encode({ instanceId: `g${i}`, online }).finish()
      })
    }
    const pushes: ImOfflinePush[] = []
    stage.bus.subscribe(im.offlinePush, {}, ({ payload }) => pushes.push(payload))
    await stage.bus.roundTrip()
    const sender = stage.user('crowd_0')
    const offlinePush = { title: 'News', content: 'from crowd_0', payload: '{"n":1}' }
    await sender.send('group:crowd', 'quiet')
    const loud = { options: { storageForServer: true, offlinePush: true }, offlinePush }
    const toldOf = (seq: number) =>
      pushes
        .filter((push) => push.server_msg_id === `group:crowd-${seq}`)
        .map(({ user_id }) => user_id)
        .sort()
    // A gateway that answers too late, as on a busy machine, counts as holding nobody: once both have answered.
    for (let seq = 2; ; seq += 2) {
      await sender.send('group:crowd', 'loud', loud)
      await sender.send('group:crowd', 'loud', loud)
      // They are told of in order: with the second one's, all of the first one's have come.
      await eventually(() => toldOf(seq + 1).length >= 2)
      if (toldOf(seq).length > 2 && seq < 40) continue
      expect(toldOf(seq)).toEqual(['crowd_1', 'crowd_2'])
      break
    }
    expect(toldOf(1)).toEqual([])
    expect(pushes[0]).toMatchObject({
      conv_id: 'group:crowd',
      server_msg_id: 'group:crowd-2',
      sender_id: 'crowd_0',
      ...offlinePush,
    })
  })

  test('a large group and long texts: told of in portions that the broker has confirmed', async () => {
    const members = Array.from({ length: 5_000 }, (_, i) => `many_${i}`)
    await stage.putGroup('group:many', members)
    const sender = stage.user('many_0')
    const loud = (title: string) => ({
      options: { storageForServer: true },
      offlinePush: { title, content: '', payload: '' },
    })
    await sender.sendAll([
      sender.message('group:many', 'a', loud('x'.repeat(10_000))),
      ...Array.from({ length: 9 }, () => sender.message('group:many', 'b', loud('short'))),
    ])
    let told = 0
    stage.bus.subscribe(im.offlinePush, {}, () => (told += 1))
    // The real bus, with what it has not confirmed counted.
    let unconfirmedBytes = 0
    let mostBytes = 0
    const bus: Parameters<typeof pushToOffline>[0] = {
      requestMany: (...question) => stage.bus.requestMany(...question),
      publish(channel, params, payload) {
        unconfirmedBytes += channel.encode(payload).length
        mostBytes = Math.max(mostBytes, unconfirmedBytes)
        stage.bus.publish(channel, params, payload)
      },
      async roundTrip() {
        unconfirmedBytes = 0
        return stage.bus.roundTrip()
      },
    }
    let places = Array.from({ length: 10 }, (_, i) => ({ convId: 'group:many', seq: i + 1 }))
    const portions: number[] = []
    while (places.length > 0) {
      const { pushed, done } = await service.database.run((session) => pushToOffline(bus, session, places, 0))
      expect(done).toEqual(places.slice(0, done.length))
      portions.push(pushed)
      places = places.slice(done.length)
    }
    expect(Math.max(...portions)).toBeLessThanOrEqual(20_000)
    expect(portions.reduce((sum, each) => sum + each, 0)).toBe(10 * 4_999)
    expect(mostBytes).toBeLessThan(1.1 * 1024 * 1024)
    await eventually(() => told === 10 * 4_999)
  })
})
