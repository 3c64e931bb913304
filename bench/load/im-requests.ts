import { Bus } from '@carillon/bus'
import { im as proto } from '@carillon/codec'
import { im } from '@carillon/events'
import { serve } from '../remote.ts'
import { percentiles } from '../statistics.ts'

/** Requests as gateways make them, and the pushes that they would get: what im-messages does, without sockets. */
const bus = new Bus({ url: process.env.NATS_URL as string, name: 'bench load' })
bus.start()

const { Code } = proto.ResponseBody
let messages = 0
/** When each message under way was sent. */
const sentAt = new Map<string, number>()
let pushed = 0
let pushMs: number[] = []

bus.subscribe(im.pushConv, {}, ({ payload }) => {
  const now = performance.now()
  const push = proto.PushBody.decode(payload)
  for (const { clientMsgId } of proto.MsgDataList.decode(push.data).msgDataList) {
    const sent = sentAt.get(clientMsgId ?? '')
    if (sent === undefined) continue
    sentAt.delete(clientMsgId ?? '')
    pushMs.push(now - sent)
    pushed += 1
  }
})

async function ask(channel: typeof im.sendMsgList | typeof im.syncMsgList, userId: string, data: Uint8Array) {
  const request = proto.rpc.ClientRequest.encode({ caller: { userId }, data }).finish()
  const reply = await bus.request(channel as typeof im.sendMsgList, {}, request, { timeoutMs: 30_000 })
  const response = proto.rpc.ClientResponse.decode(reply)
  if (response.code !== Code.Success) throw new Error(`answered with ${Code[response.code]}`)
  return response.data
}

async function send(userId: string, convId: string): Promise<number> {
  messages += 1
  const clientMsgId = `${process.pid}-${messages}`
  const message = {
    clientMsgId,
    clientTime: '1700000000000',
    convId,
    contentType: 1,
    content: Buffer.alloc(120, 'x'),
    options: { storageForServer: true },
  }
  const started = performance.now()
  sentAt.set(clientMsgId, started)
  await ask(im.sendMsgList, userId, proto.SendMsgListReq.encode({ msgDataList: [message] }).finish())
  return performance.now() - started
}

const pushesArrived = async () => {
  const end = performance.now() + 30_000
  while (sentAt.size > 0 && performance.now() < end) await new Promise((done) => setTimeout(done, 5))
  if (sentAt.size > 0) throw new Error(`${sentAt.size} pushes are missing`)
}

interface Talkers {
  readonly userIds: readonly string[]
  readonly convIds: readonly string[]
  readonly seconds: number
}

serve({
  ready: () => bus.connected,
  put: (request: { convId: string; members: string[] }) =>
    bus.request(im.convPut, {}, request, { timeoutMs: 30_000 }),

  /** Every user has one message under way. The clock stops when the last push has come. */
  async burst({ userIds, convIds, seconds }: Talkers) {
    pushed = 0
    pushMs = []
    const answerMs: number[] = []
    const started = performance.now()
    const end = started + seconds * 1_000
    await Promise.all(
      userIds.map(async (userId, i) => {
        for (let n = 0; performance.now() < end; n++) {
          answerMs.push(await send(userId, convIds[(i + n) % convIds.length] as string))
        }
      }),
    )
    await pushesArrived()
    const elapsed = (performance.now() - started) / 1_000
    return { perSecond: pushed / elapsed, answer: percentiles(answerMs), push: percentiles(pushMs) }
  },

  /** So many messages a second, whatever the answers do. */
  async paced({ userIds, convIds, seconds, perSecond }: Talkers & { perSecond: number }) {
    pushed = 0
    pushMs = []
    const answers: Promise<number>[] = []
    const started = performance.now()
    for (let n = 0; ; ) {
      const elapsed = performance.now() - started
      if (elapsed > seconds * 1_000) break
      for (; n < (elapsed / 1_000) * perSecond; n++) {
        answers.push(send(userIds[n % userIds.length] as string, convIds[n % convIds.length] as string))
      }
      await new Promise((done) => setTimeout(done, 1))
    }
    const answerMs = await Promise.all(answers)
    await pushesArrived()
    return { answer: percentiles(answerMs), push: percentiles(pushMs) }
  },

  /** 200 messages at places all over a conversation, again and again. */
  async sync({
    userId,
    convId,
    messages,
    rounds,
  }: {
    userId: string
    convId: string
    messages: number
    rounds: number
  }) {
    const took: number[] = []
    for (let round = 0; round < rounds; round++) {
      const first = 1 + Math.floor(((messages - 200) * round) / rounds)
      const seqList = Array.from({ length: 200 }, (_, i) => String(first + i))
      const request = proto.BatchGetMsgListByConvIdReq.encode({ items: [{ convId, seqList }] }).finish()
      const started = performance.now()
      const data = await ask(im.syncMsgList, userId, request)
      took.push(performance.now() - started)
      if (proto.GetMsgListResp.decode(data).msgDataList.length !== 200) throw new Error('not 200 messages')
    }
    return percentiles(took)
  },
})
