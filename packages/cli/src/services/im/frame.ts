import { im } from '@carillon/codec'

const { ActiveEvent, PushEvent } = im
const { Code } = im.ResponseBody

/**
 * A server's binary frame as lines to read.
 * @param wanted whether the answer to that request is; where it is not, there is nothing to read: undefined
 */
export function describeFrame(
  frame: Uint8Array,
  wanted: (reqId: string) => boolean = () => true,
): string | undefined {
  try {
    const { event, data } = im.PushBody.decode(frame)
    if (event === PushEvent.PushMsgDataList)
      return im.MsgDataList.decode(data).msgDataList.map(describeMessage).join('\n')
    if (event === PushEvent.PushNoticeDataList)
      return im.NoticeDataList.decode(data).noticeDataList.map(describeNotice).join('\n')
    if (event === PushEvent.PushResponseBody) {
      const response = im.ResponseBody.decode(data)
      return wanted(response.reqId) ? describeResponse(response) : undefined
    }
  } catch {
    // Said below.
  }
  return `<${frame.length} bytes that are no PushBody>`
}

function describeMessage({ convId, seq, senderId, content, serverMsgId }: im.MsgData.$Properties): string {
  return `message ${convId} #${seq || '–'} ${senderId}: ${textOf(content)}${serverMsgId ? '' : ' (not stored)'}`
}

function describeNotice({ noticeId, title, content, convId }: im.NoticeData.$Properties): string {
  const text = textOf(content)
  return `notice ${noticeId} ${convId}: ${title}${text ? ` – ${text}` : ''} (ack ${noticeId} ${convId})`
}

function describeResponse({ event, reqId, code, data }: im.ResponseBody): string {
  const head = `answer ${reqId} ${ActiveEvent[event] ?? event}: ${Code[code] ?? code}`
  if (code !== Code.Success) return `${head}: ${im.ErrorResp.decode(data).commonResp?.msg ?? ''}`
  const body = describeAnswer(event, data)
  return body ? `${head}\n${body}` : head
}

function describeAnswer(event: im.ActiveEvent, data: Uint8Array): string {
  switch (event) {
    case ActiveEvent.SyncConvSeq:
      return Object.entries(im.BatchGetConvSeqResp.decode(data).convSeqMap)
        .map(([convId, { minSeq, maxSeq }]) => `  ${convId}: ${minSeq} to ${maxSeq}`)
        .join('\n')
    case ActiveEvent.SyncMsgList:
      return im.GetMsgListResp.decode(data)
        .msgDataList.map((each) => `  ${describeMessage(each)}`)
        .join('\n')
    case ActiveEvent.GetMsgById: {
      const { msgData } = im.GetMsgByIdResp.decode(data)
      return msgData ? `  ${describeMessage(msgData)}` : '  no such message'
    }
    case ActiveEvent.CustomRequest:
      return `  ${textOf(data)}`
    default:
      return ''
  }
}

/** Text, or how much of something else. */
function textOf(bytes: Uint8Array | null | undefined): string {
  if (!bytes || bytes.length === 0) return ''
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return `<${bytes.length} bytes>`
  }
}
