import { im as proto } from '@carillon/codec'
import { create, readConfig } from '@carillon/im-messages'
import { sql } from 'kysely'
import { profiling } from '../profile.ts'
import { serve } from '../remote.ts'

const service = create(
  readConfig({ ...process.env, IM_MESSAGES_ADMIN_PORT: '0', LISTEN_HOST: '127.0.0.1', LOG_LEVEL: 'error' }),
)
await service.start()

serve({
  ready: () => service.bus.connected && service.database.availability.available,
  /** Fills a group with so many messages, as if they had been sent long ago. */
  async fill({ convId, messages }: { convId: string; messages: number }) {
    const step = 20_000
    const body = proto.MsgData.encode({
      convId,
      senderId: 'filler',
      content: Buffer.alloc(120, 'x'),
    }).finish()
    for (let from = 1; from <= messages; from += step) {
      const to = Math.min(messages, from + step - 1)
      await service.database.run((session) =>
        sql`
          insert into messages (conv_id, seq, sender_id, client_msg_id, server_time, body)
          select ${convId}, i, 'filler', i::text, i, ${body}::bytea
          from generate_series(${from}::int, ${to}::int) i`.execute(session),
      )
    }
    await service.database.run((session) =>
      sql`update conversations set max_seq = ${messages}::bigint where conv_id = ${convId}`.execute(session),
    )
    await service.database.run((session) => sql`analyze messages`.execute(session))
  },
  ...profiling(),
})
