import { setTimeout as sleep } from 'node:timers/promises'
import { im } from '@carillon/events'
import { positiveInteger } from '../../option.ts'
import type { DemoContext } from '../../service-info.ts'
import { ToolError } from '../../tool-error.ts'

const CONV_ID = 'group:demo'
const lines = [
  'good morning',
  'is anybody there?',
  'the kettle is on',
  'five minutes',
  'who has the key?',
  'it was on the table',
  'found it',
  'see you at eight',
]
const NOTICE_EVERY = 10
const TIMEOUT_MS = 12_000

/** A group of the given users chats; every now and then its members get a notice. */
export async function runImDemo({ bus, options, print, signal, random }: DemoContext): Promise<string> {
  const members = (options.members ?? '').split(',').filter(Boolean)
  const rate = positiveInteger('--rate', options.rate)
  if (members.length === 0) throw new ToolError('--members must name somebody')
  const wait = { timeoutMs: TIMEOUT_MS }
  succeeded(await bus.request(im.convPut, {}, { convId: CONV_ID, members }, wait))
  print(
    `${members.join(', ')} talk in ${CONV_ID}; listen with: npm run carillon -- connect im --user ${members[0]}`,
  )
  const pick = <T>(from: readonly T[]) => from[Math.floor(random() * from.length)] as T
  let sent = 0
  while (!signal.aborted) {
    const content = Buffer.from(pick(lines)).toString('base64')
    const message = {
      convId: CONV_ID,
      senderId: pick(members),
      clientMsgId: crypto.randomUUID(),
      contentType: 1,
      content,
      options: { storageForServer: true, storageForClient: true, updateUnreadCount: true },
    }
    succeeded(await bus.request(im.msgSend, {}, { msgDataList: [message] }, wait))
    sent += 1
    if (sent % NOTICE_EVERY === 0) {
      const notice = { convId: 'notice:demo', title: `${sent} messages`, contentType: 1, content: '' }
      succeeded(await bus.request(im.noticeSend, {}, { userIds: members, notice }, wait))
    }
    await sleep(1_000 / rate, undefined, { signal }).catch(() => {})
  }
  return `${sent} messages sent`
}

function succeeded({ error_code, error_reason }: { error_code: number; error_reason: string }): void {
  if (error_code !== 0) throw new ToolError(error_reason)
}
