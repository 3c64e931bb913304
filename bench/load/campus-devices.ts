import { WebSocket } from 'ws'
import { now, serve } from '../remote.ts'

/* Devices as cheap as they can be: they speak what Socket.IO needs, authenticate, and answer every event at once. */

interface OpenOptions {
  readonly port: number
  readonly signatures: readonly string[]
  readonly path?: string
  readonly parallel?: number
}

const PUSHED = /^42(\d+)\[/

function open(port: number, path: string, signature: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}?EIO=4&transport=websocket`, {
      perMessageDeflate: false,
    })
    socket.once('error', reject)
    socket.on('message', (data) => {
      const text = String(data)
      const id = PUSHED.exec(text)?.[1]
      if (id !== undefined) socket.send(`43${id}[{"ack":true}]`)
      else if (text.startsWith('0')) socket.send('40')
      else if (text.startsWith('40')) socket.send(`42["authentication",{"signature":"${signature}"}]`)
      else if (text === '42["auth:ok"]') resolve()
      else if (text === '2') socket.send('3')
      else if (text.startsWith('42["auth:fail"')) reject(new Error(text))
    })
  })
}

serve({
  async open({ port, signatures, path = '/socket/socket.io/', parallel = 20 }: OpenOptions) {
    const start = now()
    const queue = signatures.values()
    const work = async () => {
      for (const signature of queue) await open(port, path, signature)
    }
    await Promise.all(Array.from({ length: parallel }, work))
    return now() - start
  },
})
