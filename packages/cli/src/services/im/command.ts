import { im } from '@carillon/codec'
import { ToolError, USAGE } from '../../tool-error.ts'

const { ActiveEvent } = im
const SYNC_MAX = 200

interface Command {
  readonly usage: string
  /** The request's event and data. */
  readonly request: (args: readonly string[]) => readonly [im.ActiveEvent, Uint8Array] | undefined
}

const commands: Readonly<Record<string, Command>> = {
  send: {
    usage: 'send <convId> <text>',
    request([convId, ...words]) {
      if (convId === undefined || words.length === 0) return undefined
      const message: im.MsgData.$Shape = {
        convId,
        clientMsgId: crypto.randomUUID(),
        clientTime: String(Date.now()),
        contentType: 1,
        content: Buffer.from(words.join(' ')),
        options: { storageForServer: true, storageForClient: true, updateUnreadCount: true },
      }
      return [ActiveEvent.SendMsgList, im.SendMsgListReq.encode({ msgDataList: [message] }).finish()]
    },
  },
  seqs: {
    usage: 'seqs <convId> …',
    request: (convIdList) =>
      convIdList.length === 0
        ? undefined
        : [ActiveEvent.SyncConvSeq, im.BatchGetConvSeqReq.encode({ convIdList: [...convIdList] }).finish()],
  },
  sync: {
    usage: 'sync <convId> <first seq> [<last seq>]',
    request([convId, first, last = first]) {
      const [from, to] = [Number(first), Number(last)]
      if (convId === undefined || !(from >= 1) || !(to >= from) || to - from >= SYNC_MAX) return undefined
      const seqList = Array.from({ length: to - from + 1 }, (_, i) => String(from + i))
      return [
        ActiveEvent.SyncMsgList,
        im.BatchGetMsgListByConvIdReq.encode({ items: [{ convId, seqList }] }).finish(),
      ]
    },
  },
  ack: {
    usage: 'ack <noticeId> [<convId>]',
    request: ([noticeId, convId = '']) =>
      noticeId === undefined
        ? undefined
        : [ActiveEvent.AckNotice, im.AckNoticeDataReq.encode({ noticeId, convId }).finish()],
  },
  get: {
    usage: 'get <serverMsgId>',
    request: ([serverMsgId]) =>
      serverMsgId === undefined
        ? undefined
        : [ActiveEvent.GetMsgById, im.GetMsgByIdReq.encode({ serverMsgId }).finish()],
  },
  custom: {
    usage: 'custom <method> [<text>]',
    request: ([method, ...words]) =>
      method === undefined
        ? undefined
        : [
            ActiveEvent.CustomRequest,
            im.CustomRequestBody.encode({ method, data: Buffer.from(words.join(' ')) }).finish(),
          ],
  },
}

/** A typed line as an encoded RequestBody. @throws {ToolError} that lists the commands. */
export function parseLine(line: string, reqId: string): Uint8Array {
  const [name = '', ...args] = line.trim().split(/\s+/)
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  const request = command?.request(args)
  if (request === undefined) {
    const usages = command ? [command.usage] : Object.values(commands).map(({ usage }) => usage)
    throw new ToolError(`type one of: ${usages.join(' · ')}`, USAGE)
  }
  const [event, data] = request
  return im.RequestBody.encode({ event, reqId, data }).finish()
}
