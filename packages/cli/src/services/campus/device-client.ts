import { createInterface } from 'node:readline'
import { io, type Socket } from 'socket.io-client'
import type { ConnectTarget } from '../../service-info.ts'
import { ToolError } from '../../tool-error.ts'

const USAGE_LINE = 'type: join <room> [ticket], leave <room>, result <text>, sleep, wake; Ctrl-C ends'

/** What a device says to an event; `asleep` is what it says of its screen. */
export function answerTo(event: string, asleep = false): object {
  if (event === 'device_status') return { ack: true, status: asleep ? 'sleep' : 'on' }
  if (event === 'face_data_count') return { ack: true, count: 56 }
  return { ack: true }
}

/** A device's connection, as the class boards make it. */
export function connectDevice(baseUrl: string, path: string): Socket {
  return io(baseUrl, { path, transports: ['websocket'], forceNew: true, reconnectionDelayMax: 2_000 })
}

/** A device in the terminal: it answers everything that comes. */
export async function runDeviceClient(target: ConnectTarget): Promise<void> {
  const { baseUrl, createCredential, print, request } = target
  const socket = connectDevice(baseUrl, '/socket/socket.io')
  let asleep = false
  socket.on('connect', async () => socket.emit('authentication', { signature: await createCredential() }))
  socket.onAny((event: string, ...args: unknown[]) => {
    const callback = args.at(-1)
    const body = args.filter((arg) => typeof arg !== 'function')
    const wantsAnswer = typeof callback === 'function'
    const answer = wantsAnswer ? answerTo(event, asleep) : undefined
    if (wantsAnswer) (callback as (answer: unknown) => void)(answer)
    print(
      [event, ...body.map((each) => JSON.stringify(each)), answer ? `→ ${JSON.stringify(answer)}` : '']
        .join(' ')
        .trim(),
    )
    if (event === 'auth:fail')
      process.stderr.write(`is it registered? npm run carillon -- device put ${request.user}\n`)
  })
  const ended = new Promise<string>((resolve) => {
    socket.on('disconnect', (reason) => {
      // Everything else is tried again by the client.
      if (reason === 'io server disconnect' || reason === 'io client disconnect') resolve(reason)
    })
    socket.on('connect_error', (error) => {
      if (!socket.active || socket.id === undefined) resolve(`not reachable: ${error.message}`)
    })
  })
  process.stderr.write(`a device at ${baseUrl}: ${request.user}; ${USAGE_LINE}\n`)
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => {
    const [command = '', first = '', second] = line.trim().split(/\s+/)
    if (command === 'join') socket.emit('join_room', { room: first, ...(second && { ticket: second }) })
    else if (command === 'leave') socket.emit('leave_room', { room: first })
    else if (command === 'result') socket.emit('cmd_result', { result: line.trim().slice('result '.length) })
    else if (command === 'sleep' || command === 'wake') asleep = command === 'sleep'
    else if (command !== '') process.stderr.write(`${USAGE_LINE}\n`)
  })
  const leave = () => socket.disconnect()
  process.once('SIGINT', leave)
  const reason = await ended
  process.off('SIGINT', leave)
  lines.close()
  socket.disconnect()
  if (reason !== 'io client disconnect') throw new ToolError(`the connection ended: ${reason}`)
}
