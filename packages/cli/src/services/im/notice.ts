import { type Bus, NoResponders } from '@carillon/bus'
import { im } from '@carillon/events'
import { ToolError, USAGE } from '../../tool-error.ts'

const TIMEOUT_MS = 12_000

/** `publish im.notice 3600,3601 '{"title":"…","content":"text"}'`: what is left out is filled in. */
export async function publishNotice(bus: Bus, [users, text]: readonly string[]): Promise<string> {
  if (users === undefined || text === undefined) {
    throw new ToolError(`usage: publish im.notice <userIds> '{"title":"…","content":"text"}'`, USAGE)
  }
  const request = im.noticeSend.payload.check({
    userIds: users.split(','),
    notice: { convId: 'notice:system', title: '', contentType: 1, content: '', ...encoded(parse(text)) },
  })
  if (!request.ok) throw new ToolError(`not published: ${request.reason}`)
  try {
    const answer = await bus.request(im.noticeSend, {}, request.value, { timeoutMs: TIMEOUT_MS })
    if (answer.error_code !== 0) throw new ToolError(JSON.stringify(answer))
    return JSON.stringify(answer)
  } catch (error) {
    if (error instanceof NoResponders) throw new ToolError('nobody answers: im-messages is not running')
    throw error
  }
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>
    }
  } catch {
    // Said below.
  }
  throw new ToolError('the notice must be a JSON object', USAGE)
}

/** Content is typed as text, and travels as base64. */
function encoded(notice: Record<string, unknown>): Record<string, unknown> {
  const { content } = notice
  return typeof content === 'string'
    ? { ...notice, content: Buffer.from(content).toString('base64') }
    : notice
}
