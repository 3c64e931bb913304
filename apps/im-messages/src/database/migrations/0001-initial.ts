import { type Kysely, sql } from 'kysely'

/**
 * Times are milliseconds since the epoch, written by the service. `conv_id`, and for inboxes `user_id`, is part of
 * every key: it is what a distributed PostgreSQL places rows by. There are no foreign keys: every writer holds the
 * lock of its conversation's row.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  // One row is the lock and the counters of a conversation. outbox_no counts commits and changes of members.
  await sql`
    create table conversations (
      conv_id text not null,
      max_seq bigint not null default 0,
      outbox_no bigint not null default 0,
      updated_at bigint not null,
      primary key (conv_id)
    ) with (fillfactor = 70)`.execute(db)

  // min_seq is exclusive: a member sees what was sent after joining.
  await sql`
    create table members (
      conv_id text not null,
      user_id text not null,
      min_seq bigint not null,
      joined_at bigint not null,
      primary key (conv_id, user_id)
    )`.execute(db)
  await sql`create index members_by_user on members (user_id, conv_id)`.execute(db)

  // body is MsgData without what the server adds when it prints it: seq, serverMsgId and serverTime.
  await sql`
    create table messages (
      conv_id text not null,
      seq bigint not null,
      sender_id text not null,
      client_msg_id text not null,
      server_time bigint not null,
      body bytea not null,
      primary key (conv_id, seq)
    )`.execute(db)
  // The sender's own id of a message, for idempotence and for asking by it.
  await sql`create unique index messages_by_client_msg_id on messages (sender_id, client_msg_id, conv_id)`.execute(
    db,
  )
  // Retention goes from the oldest on.
  await sql`create index messages_by_time on messages (server_time)`.execute(db)

  // Messages that are accepted but not due.
  await sql`
    create table delayed_messages (
      conv_id text not null,
      sender_id text not null,
      client_msg_id text not null,
      due_at bigint not null,
      accepted_at bigint not null,
      batch_index int not null,
      body bytea not null,
      primary key (sender_id, client_msg_id, conv_id)
    )`.execute(db)
  await sql`create index delayed_messages_due on delayed_messages (due_at, conv_id)`.execute(db)

  // What was committed and is not known to be published: a range of messages, or bytes of another kind.
  await sql`
    create table outbox (
      conv_id text not null,
      no bigint not null,
      kind text not null check (kind in ('messages', 'members', 'unstored')),
      first_seq bigint,
      last_seq bigint,
      payload bytea,
      bytes int not null,
      created_at bigint not null,
      primary key (conv_id, no)
    )`.execute(db)

  // Stored messages that ask for a push to those of the members who have no connection.
  await sql`
    create table offline_pushes (
      conv_id text not null,
      seq bigint not null,
      created_at bigint not null,
      primary key (conv_id, seq)
    )`.execute(db)

  await sql`
    create table inboxes (
      user_id text not null,
      max_pos bigint not null,
      primary key (user_id)
    ) with (fillfactor = 70)`.execute(db)

  // pos counts a user's notices; body is the NoticeData, ready.
  await sql`
    create table notices (
      user_id text not null,
      pos bigint not null,
      conv_id text not null,
      notice_id text not null,
      created_at bigint not null,
      body bytea not null,
      primary key (user_id, pos)
    )`.execute(db)
  await sql`create unique index notices_by_notice_id on notices (user_id, notice_id)`.execute(db)
  await sql`create index notices_by_time on notices (created_at, user_id, pos)`.execute(db)

  await sql`
    create table notice_outbox (
      user_id text not null,
      pos bigint not null,
      bytes int not null,
      created_at bigint not null,
      primary key (user_id, pos)
    )`.execute(db)

  // Tables that rows only pass through: what they leave behind is cleared by its number, not by a share of the table.
  for (const table of ['outbox', 'notice_outbox', 'offline_pushes', 'delayed_messages']) {
    await sql`
      alter table ${sql.table(table)} set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)
      `.execute(db)
  }

  // Everything up to floor_pos is acknowledged by this device, in whatever conversation.
  await sql`
    create table notice_devices (
      user_id text not null,
      device text not null,
      floor_pos bigint not null,
      seen_at bigint not null,
      primary key (user_id, device)
    )`.execute(db)
  await sql`create index notice_devices_by_time on notice_devices (seen_at)`.execute(db)

  await sql`
    create table notice_cursors (
      user_id text not null,
      device text not null,
      conv_id text not null,
      pos bigint not null,
      primary key (user_id, device, conv_id)
    )`.execute(db)
}
