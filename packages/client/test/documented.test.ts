import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { tableRows } from '@carillon/testkit'
import { expect, test } from '@jest/globals'
import { auctionCloseCodes } from '../src/auction/index.ts'
import { campusCloseCodes } from '../src/campus/campus.ts'
import type { CloseCodes } from '../src/core/index.ts'
import { imCloseCodes } from '../src/im/im.ts'
import { quoteCloseCodes } from '../src/quote/index.ts'
import { voiceCloseCodes } from '../src/voice/voice.ts'

const tables: Readonly<Record<string, CloseCodes>> = {
  'auction-push': auctionCloseCodes,
  'quote-interact': quoteCloseCodes,
  'campus-socketio': campusCloseCodes,
  'im-gateway': imCloseCodes,
  'voice-room-ws': voiceCloseCodes,
}

test.each(Object.keys(tables))('the close codes are those of the page of %s', (app) => {
  const page = readFileSync(resolve(import.meta.dirname, `../../../apps/${app}/PROTOCOL.md`), 'utf8')
  const rows = tableRows(page, 'Close codes').map(([code, , reconnect]) => [code, reconnect === 'yes'])
  expect(Object.fromEntries(rows)).toEqual(
    Object.fromEntries(Object.entries(tables[app] ?? {}).map(([code, reconnect]) => [code, reconnect])),
  )
})
