// A process that holds the lock of a conversation, to be stopped in its tracks: <url> <convId>
import { eventually } from '@carillon/testkit'
import { sql } from 'kysely'
import { Database } from '../src/database/database.ts'
import { DatabaseFailure } from '../src/database/failure.ts'
import { postgresEngine } from '../src/database/postgres.ts'

const [url = '', convId = ''] = process.argv.slice(2)
const database = new Database({
  shared: true,
  open: async () => postgresEngine({ url, connectionsMax: 2 }),
  log: { warn() {} },
  failed() {},
})
await database.start()
try {
  await database.transaction(async (session) => {
    await sql`select from conversations where conv_id = ${convId} for update`.execute(session)
    process.stdout.write('holding\n')
    // Never idle, as long as the process runs.
    for (;;) {
      await sql`select 1`.execute(session)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })
} catch (error) {
  if (!(error instanceof DatabaseFailure)) throw error
  await eventually(() => database.run((session) => sql`select 1`.execute(session)))
  process.stdout.write('lost, and connected again\n')
}
