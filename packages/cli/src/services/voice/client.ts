import { VoiceRoomClient } from '@carillon/client/voice'
import { type Frame, runTerminalClient } from '../../client/terminal-client.ts'
import type { ConnectTarget } from '../../service-info.ts'
import { ToolError } from '../../tool-error.ts'
import { signOf } from './sign.ts'

/** A member in the terminal, who pings and reports by itself; a typed line is a frame's fields, to be signed. */
export function runVoiceClient(target: ConnectTarget): Promise<void> {
  let typing = false
  const describe = ({ direction, data }: Frame): string | undefined => {
    const text = String(data)
    if (direction === 'in') return text
    return typing || JSON.parse(text).action === 'ping' ? undefined : `→ ${text}`
  }
  return runTerminalClient(target, {
    create: ({ token: sid, ...options }) =>
      new VoiceRoomClient({
        ...options,
        sid,
        sign: signOf(target.request.env),
        // Nobody is on a signalling channel: every notice counts as passed on.
        relay: () => {},
      }),
    typed(client, line) {
      const fields = parseFields(line)
      typing = true
      try {
        client.sendFields(fields)
      } finally {
        typing = false
      }
    },
    describe,
  })
}

function parseFields(line: string): Parameters<VoiceRoomClient['sendFields']>[0] {
  try {
    return JSON.parse(line)
  } catch {
    throw new ToolError('type a JSON object, such as {"action":"ping"}; token, sid, time and sign are added')
  }
}
