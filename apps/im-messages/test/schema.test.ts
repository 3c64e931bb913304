import { im as proto } from '@carillon/codec'
import { im } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type RawBuilder, sql } from 'kysely'
import { AS_GATEWAYS_WAIT, engines, type MessageService, Stage } from './stage.ts'

/** PostgreSQL where it is: its planner is the one of production. */
const engine = engines.at(-1) ?? 'PGlite'
const MESSAGES = 1_000_000

describe(`the schema on ${engine}`, () => {
  let stage: Stage
  let service: MessageService
  beforeAll(async () => {
    stage = await Stage.open(engine)
    service = await stage.service()
  })
  afterAll(() => stage.close())
  const query = async <R>(text: RawBuilder<R>) =>
    (await service.database.run((session) => text.execute(session))).rows

  /** What Kysely keeps for itself: two small tables that a distributed database would copy everywhere. */
  const bookkeeping = ['kysely_migration', 'kysely_migration_lock']

  test('conv_id, or user_id for inboxes, is in every table and in every unique key', async () => {
    const rows = await query(sql<{ table: string; unique_key: string[]; columns: string[] }>`
      select t.relname as "table",
        array(select attname::text from pg_attribute where attrelid = t.oid and attnum > 0) as columns,
        array(
          select a.attname::text from unnest(i.indkey) k join pg_attribute a on a.attrelid = t.oid and a.attnum = k
        ) as unique_key
      from pg_class t join pg_namespace n on n.oid = t.relnamespace
      left join pg_index i on i.indrelid = t.oid and i.indisunique
      where n.nspname = 'public' and t.relkind = 'r'`)
    const ours = rows.filter(({ table }) => !bookkeeping.includes(table))
    const keys: Record<string, string> = {}
    for (const { table, unique_key, columns } of ours) {
      const key = /^(inboxes|notice)/.test(table) ? 'user_id' : 'conv_id'
      expect([table, columns]).toEqual([table, expect.arrayContaining([key])])
      expect([table, unique_key]).toEqual([table, expect.arrayContaining([key])])
      keys[table] = key
    }
    expect(keys).toEqual({
      conversations: 'conv_id',
      members: 'conv_id',
      messages: 'conv_id',
      delayed_messages: 'conv_id',
      outbox: 'conv_id',
      offline_pushes: 'conv_id',
      inboxes: 'user_id',
      notices: 'user_id',
      notice_outbox: 'user_id',
      notice_devices: 'user_id',
      notice_cursors: 'user_id',
    })
    const others = await query(sql<{ conname: string }>`
      select conname from pg_constraint where contype in ('f', 'x') and connamespace = 'public'::regnamespace`)
    expect(others).toEqual([])
    const sequences = await query(sql<{ relname: string }>`
      select relname from pg_class where relkind = 'S' and relnamespace = 'public'::regnamespace`)
    expect(sequences).toEqual([])
  })

  test(`with ${MESSAGES} messages, every question is answered from an index`, async () => {
    const { database } = service
    const run = (text: RawBuilder<unknown>) =>
      database.transaction(async (session) => {
        await sql`set local statement_timeout = 0`.execute(session)
        await text.execute(session)
      })
    await run(sql`
      insert into conversations (conv_id, max_seq, updated_at) select 'group:' || g, 50, 0 from generate_series(1, 20000) g`)
    await run(sql`
      insert into members (conv_id, user_id, min_seq, joined_at)
      select 'group:' || g, 'user_' || (g * 31 + u) % 5000, 0, 0 from generate_series(1, 20000) g, generate_series(1, 5) u`)
    const step = MESSAGES / 20
    for (let from = 0; from < MESSAGES; from += step) {
      await run(sql`
        insert into messages (conv_id, seq, sender_id, client_msg_id, server_time, body)
        select 'group:' || (i % 20000 + 1), i / 20000 + 1, 'user_' || i % 5000, i::text, i, ''
        from generate_series(${from}::int, ${from + step - 1}::int) i`)
    }
    await run(sql`
      insert into notices (user_id, pos, conv_id, notice_id, created_at, body)
      select 'user_' || i % 5000, i / 5000 + 1, 'notice:a', md5(i::text), i, '' from generate_series(0, 99999) i`)
    await run(
      sql`insert into inboxes (user_id, max_pos) select 'user_' || i, 20 from generate_series(0, 4999) i`,
    )
    await run(sql`analyze`)

    const convIds = ['group:1', 'group:2']
    const questions: Record<string, RawBuilder<unknown>> = {
      'SyncMsgList: 200 places': sql`
        select body from unnest(${Array(200).fill('group:7')}::text[], ${Array.from({ length: 200 }, (_, i) => i)}::bigint[])
        as w (conv_id, seq) join messages using (conv_id, seq)`,
      SyncConvSeq: sql`
        select * from members m join conversations c using (conv_id)
        where m.conv_id = any(${convIds}::text[]) and m.user_id = 'user_7'`,
      'GetMsgById, by clientMsgId': sql`
        select body from messages m join members u on u.conv_id = m.conv_id and u.user_id = m.sender_id
        where m.sender_id = 'user_7' and m.client_msg_id = 'x' and m.seq > u.min_seq order by server_time desc limit 1`,
      'known clientMsgIds': sql`
        select seq from messages join unnest(
          ${Array(100).fill('user_7')}::text[], ${Array(100).fill('x')}::text[], ${Array(100).fill('group:7')}::text[]
        ) as a (sender_id, client_msg_id, conv_id) using (sender_id, client_msg_id, conv_id)`,
      Conversations: sql`
        select * from (
          select conv_id, min_seq from members
          where user_id = 'user_7' and conv_id > '' order by conv_id limit 2000
        ) as m join conversations c using (conv_id) order by m.conv_id`,
      CatchUp: sql`select body from messages where conv_id = 'group:7' and seq > 20 order by seq limit 200`,
      'members of one conversation': sql`select user_id from members where conv_id = 'group:7'`,
      'the outbox of a conversation': sql`
        select * from outbox where conv_id = any(${convIds}::text[]) order by conv_id, no limit 1000`,
      'messages that are due': sql`
        select conv_id from delayed_messages where due_at <= 5 order by due_at limit 500`,
      'retention of messages': sql`
        select conv_id, seq from messages where server_time < 1000 order by server_time limit 1000 for update skip locked`,
      'retention of notices': sql`
        select * from notices where created_at < 5000 and (created_at, user_id, pos) > (500, '', 0)
        order by created_at, user_id, pos limit 1000`,
      'pending notices': sql`
        select n.pos from notices n
        left join notice_cursors c on c.user_id = n.user_id and c.device = 'd' and c.conv_id = n.conv_id
        where n.user_id = 'user_7' and n.pos > 3 and n.pos > coalesce(c.pos, 0) order by n.pos limit 21`,
      'a notice by its id': sql`select pos from notices where user_id = 'user_7' and notice_id = 'x'`,
    }
    questions['what the outbox publishes'] = sql`
      select r.no, m.body from unnest(
        ${convIds}::text[], ${[1, 1]}::bigint[], ${[10, 10]}::bigint[], ${[20, 20]}::bigint[]
      ) as r (conv_id, no, first_seq, last_seq)
      cross join lateral (
        select seq, body from messages
        where conv_id = r.conv_id and seq between r.first_seq and r.last_seq offset 0
      ) as m order by r.conv_id, m.seq`
    const scanned: Record<string, unknown> = {}
    for (const [name, question] of Object.entries(questions)) {
      const plan = await query(sql<{ 'QUERY PLAN': string }>`explain ${question}`)
      const text = plan.map((row) => row['QUERY PLAN']).join('\n')
      if (/Seq Scan on (messages|members|notices|conversations)\b/.test(text)) scanned[name] = text
    }
    expect(scanned).toEqual({})

    // The statements of the service itself: none of them reads a large table from end to end.
    if (engine !== 'PostgreSQL') return
    const scans = async () => {
      await query(sql`select pg_stat_force_next_flush()`)
      const rows = await query(sql<{ relname: string; seq_scan: number }>`
        select relname, seq_scan from pg_stat_user_tables
        where relname in ('messages', 'members', 'notices', 'conversations') order by relname`)
      return Object.fromEntries(rows.map(({ relname, seq_scan }) => [relname, seq_scan]))
    }
    const before = await scans()
    const pushed = await stage.conversation('group:7')
    const user = stage.user('user_218')
    const clientMsgId = await user.send('group:7', 'x')
    await user.sendAll(Array.from({ length: 200 }, () => user.message('group:7', 'x')))
    await eventually(() => pushed.messages.length === 201)
    await user.sync(
      'group:7',
      Array.from({ length: 200 }, (_, i) => i + 1),
    )
    await user.seqs(['group:7', 'group:8'])
    await user.get({ clientMsgId })
    await user.get({ serverMsgId: 'group:7-3' })
    const { notices } = await user.pending()
    for (const { noticeId, convId } of notices) await user.ack(noticeId, convId)
    const items = [{ convId: 'group:7', afterSeq: '10' }]
    await stage.bus.request(im.catchUp, {}, proto.rpc.CatchUpReq.encode({ items }).finish(), AS_GATEWAYS_WAIT)
    const { userId } = user.caller
    await stage.bus.request(
      im.conversations,
      {},
      proto.rpc.ConversationsReq.encode({ userId }).finish(),
      AS_GATEWAYS_WAIT,
    )
    await stage.bus.request(im.convAddMembers, {}, { convId: 'group:7', members: ['new'] }, AS_GATEWAYS_WAIT)
    // Statistics of other connections arrive within a second or so.
    await eventually(async () => {
      const [row] = await query(sql<{ count: number }>`
        select n_tup_ins::int as count from pg_stat_user_tables where relname = 'messages'`)
      return (row?.count ?? 0) >= MESSAGES + 201
    })
    expect(await scans()).toEqual(before)
  })
})
