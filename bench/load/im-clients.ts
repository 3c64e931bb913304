import { im as proto, readPush } from '@carillon/codec'
import { WebSocket } from 'ws'
import { now, serve } from '../remote.ts'

/*
 * IM clients in pairs: each sends to its partner, and goes on when the answer and its own echo have come. Both
 * sides get every message.
 */

interface Client {
  readonly socket: WebSocket
  readonly convId: string
  /** When the message that is under way was sent, and what has come of it. */
  sentAt: number
  answered: boolean
  echoed: boolean
  sequence: number
}

interface Options {
  readonly port: number
  readonly paths: readonly string[]
  readonly convIds: readonly string[]
}

const clients: Client[] = []
const answers: number[] = []
const pushes: number[] = []
let running = false
let sent = 0
const content = Buffer.alloc(120, 'x')
const { PushEvent, ActiveEvent } = proto

function send(client: Client): void {
  client.sequence += 1
  client.sentAt = now()
  client.answered = false
  client.echoed = false
  sent += 1
  // The time travels with the message: the partner measures by it.
  const clientMsgId = `${client.sentAt.toFixed(3)} ${clients.indexOf(client)}`
  const message = {
    convId: client.convId,
    clientMsgId,
    contentType: 1,
    content,
    options: { storageForServer: true },
  }
  const data = proto.SendMsgListReq.encode({ msgDataList: [message] }).finish()
  const reqId = String(client.sequence)
  client.socket.send(proto.RequestBody.encode({ event: ActiveEvent.SendMsgList, reqId, data }).finish())
}

function received(client: Client, frame: Buffer): void {
  const push = readPush(frame)
  if (push === undefined) return
  if (push.event === PushEvent.PushResponseBody) {
    const { code } = proto.ResponseBody.decode(push.data)
    if (code !== 0) throw new Error(`a send was answered with ${code}`)
    answers.push(now() - client.sentAt)
    client.answered = true
  } else {
    for (const { clientMsgId } of proto.MsgDataList.decode(push.data).msgDataList) {
      const [at = '', index] = (clientMsgId as string).split(' ')
      pushes.push(now() - Number(at))
      if (clients[Number(index)] === client) client.echoed = true
    }
  }
  if (running && client.answered && client.echoed) send(client)
}

function open(port: number, path: string, convId: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { perMessageDeflate: false })
    const client: Client = { socket, convId, sentAt: 0, answered: true, echoed: true, sequence: 0 }
    clients.push(client)
    socket.on('error', reject)
    socket.on('close', (code, reason) => reject(new Error(`closed with ${code} ${reason}`)))
    socket.on('message', (data: Buffer, isBinary: boolean) => (isBinary ? received(client, data) : resolve()))
  })
}

serve({
  async open({ port, paths, convIds }: Options) {
    const queue = paths.entries()
    const work = async () => {
      for (const [i, path] of queue) await open(port, path, convIds[i] as string)
    }
    await Promise.all(Array.from({ length: 20 }, work))
  },
  /** Everybody sends, for so long; then waits for what is under way. */
  async run({ seconds }: { seconds: number }) {
    answers.length = 0
    pushes.length = 0
    sent = 0
    const startedAt = now()
    running = true
    for (const client of clients) send(client)
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000))
    running = false
    const timeout = now() + 30_000
    while ((answers.length < sent || pushes.length < 2 * sent) && now() < timeout) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return { sent, answers, pushes, elapsedMs: now() - startedAt }
  },
})
