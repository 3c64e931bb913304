import { type LineClient, runLineClient, type Send } from '../../client/line-client.ts'
import type { ConnectTarget } from '../../service-info.ts'
import { parseLine } from './command.ts'
import { describeFrame } from './frame.ts'

/** A client in the terminal: prints pushes and answers, and makes requests of what is typed. */
export async function runImClient(target: ConnectTarget): Promise<void> {
  let requests = 0
  const client: LineClient = {
    received: (data, isBinary) => (isBinary ? describeFrame(data) : data.toString()),
    typed(line: string, send: Send) {
      requests += 1
      send(parseLine(line, String(requests)))
    },
  }
  await runLineClient(target, client)
}
