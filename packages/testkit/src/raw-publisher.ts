import { connect, type Socket } from 'node:net'

/** Publishes as any program could, so many times: the text protocol over TCP, no client library. */
export async function publishRaw(
  port: number,
  subject: string,
  payload: string | Buffer,
  times = 1,
): Promise<void> {
  const body = Buffer.from(payload)
  const message = [`PUB ${subject} ${body.length}\r\n`, body, '\r\n']
  await exchange(port, [...Array.from({ length: times }, () => message).flat(), 'PING\r\n'], (received) =>
    received.includes('PONG') ? '' : undefined,
  )
}

/** One request and its answer's payload as text, over the same protocol. */
export async function requestRaw(port: number, subject: string, payload = ''): Promise<string> {
  const inbox = `_INBOX.${process.pid}.${Math.random().toString(36).slice(2)}`
  const body = Buffer.from(payload)
  const request = [`SUB ${inbox} 1\r\nPUB ${subject} ${inbox} ${body.length}\r\n`, body, '\r\n']
  return exchange(port, request, (received) => {
    const head = /MSG \S+ 1 (\d+)\r\n/.exec(received)
    if (head === null) return undefined
    const answer = received.slice(head.index + head[0].length)
    return answer.length >= Number(head[1]) ? answer.slice(0, Number(head[1])) : undefined
  })
}

/** Sends commands and reads until the answer is complete. Gives up after five seconds. */
async function exchange(
  port: number,
  commands: readonly (string | Buffer)[],
  answerIn: (received: string) => string | undefined,
): Promise<string> {
  const socket: Socket = connect(port, '127.0.0.1')
  try {
    return await new Promise<string>((resolve, reject) => {
      let received = ''
      socket.on('data', (data) => {
        received += data.toString('latin1')
        const answer = answerIn(received)
        if (answer !== undefined) resolve(answer)
        else if (received.includes('-ERR')) reject(new Error(received))
      })
      socket.once('error', reject)
      socket.once('close', () => reject(new Error('the server ended the connection')))
      socket.setTimeout(5_000, () => reject(new Error('the server does not answer')))
      socket.write(
        Buffer.concat([
          Buffer.from('CONNECT {"verbose":false}\r\n'),
          ...commands.map((each) => Buffer.from(each)),
        ]),
      )
    })
  } finally {
    socket.destroy()
  }
}
