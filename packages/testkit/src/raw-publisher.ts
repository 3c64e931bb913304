import { connect } from 'node:net'

/** Publishes as any program could: the text protocol over TCP, no client library. */
export async function publishRaw(port: number, subject: string, payload: string | Buffer): Promise<void> {
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
    socket.write(
      Buffer.concat([
        Buffer.from(`CONNECT {"verbose":false}\r\nPUB ${subject} ${body.length}\r\n`),
        body,
        Buffer.from('\r\nPING\r\n'),
      ]),
    )
  })
  socket.destroy()
}
