import { connect } from 'node:net'

/** Publishes as any program could, so many times: the text protocol over TCP, no client library. */
export async function publishRaw(
  port: number,
  subject: string,
  payload: string | Buffer,
  times = 1,
): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  await new Promise<void>((resolve, reject) => {
    let received = ''
    socket.on('data', (data) => {
      received += data
      if (received.includes('PONG')) resolve()
      else if (received.includes('-ERR')) reject(new Error(received))
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the server ended the connection')))
    const body = Buffer.from(payload)
    const message = Buffer.concat([
      Buffer.from(`PUB ${subject} ${body.length}\r\n`),
      body,
      Buffer.from('\r\n'),
    ])
    socket.write('CONNECT {"verbose":false}\r\n')
    for (let i = 0; i < times; i++) socket.write(message)
    socket.write('PING\r\n')
  })
  socket.destroy()
}
