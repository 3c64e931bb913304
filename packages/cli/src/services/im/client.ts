import { ImClient, type ImOptions } from '@carillon/client/im'
import { type Frame, runTerminalClient } from '../../client/terminal-client.ts'
import type { ConnectTarget } from '../../service-info.ts'
import { parseLine } from './command.ts'
import { describeFrame } from './frame.ts'

/** Before the number of a typed request: the library's own requests have a number alone. */
const TYPED = 't'

class TypedImClient extends ImClient {
  override send(frame: Uint8Array<ArrayBuffer>): void {
    super.send(frame)
  }
}

/** A client in the terminal: prints pushes and answers, and makes requests of what is typed. */
export function runImClient(target: ConnectTarget): Promise<void> {
  const { user, options } = target.request
  let requests = 0
  return runTerminalClient(target, {
    create: (connection) =>
      new TypedImClient({
        ...connection,
        userId: user,
        platform: (options.platform ?? 'linux') as ImOptions['platform'],
        deviceId: options.device ?? 'terminal',
        networkUsed: 'ethernet',
        deviceModel: 'terminal',
        osVersion: '1',
        appVersion: '1',
      }),
    typed(client, line) {
      requests += 1
      client.send(Uint8Array.from(parseLine(line, `${TYPED}${requests}`)))
    },
    describe: ({ direction, data }: Frame) => {
      if (direction === 'out') return undefined
      if (typeof data === 'string') return data
      return describeFrame(data, (reqId) => !/^\d+$/.test(reqId))
    },
  })
}
