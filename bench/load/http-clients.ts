import { connect } from 'node:net'
import { serve } from '../remote.ts'

serve({
  /** Keep-alive connections, each with one request under way. Answers requests per second and the first answer. */
  async ask({
    port,
    path,
    connections,
    seconds,
  }: {
    port: number
    path: string
    connections: number
    seconds: number
  }) {
    const request = Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
    let answers = 0
    let sample = ''
    const sockets = Array.from({ length: connections }, () => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true })
      socket.on('data', (chunk) => {
        sample ||= chunk.toString()
        answers += 1
        socket.write(request)
      })
      socket.write(request)
      return socket
    })
    await new Promise((done) => setTimeout(done, 1_000))
    const before = answers
    await new Promise((done) => setTimeout(done, seconds * 1_000))
    const perSecond = (answers - before) / seconds
    for (const socket of sockets) socket.destroy()
    return { perSecond, sample }
  },
})
