import { createInterface } from 'node:readline'
import { type Ack, CampusDevice, type DeviceHandlers } from '@carillon/client/campus'
import { type CampusEventName, campusEventsFor } from '@carillon/events'
import type { ConnectTarget } from '../../service-info.ts'
import { ToolError } from '../../tool-error.ts'

const USAGE_LINE = 'type: join <room> [ticket], leave <room>, result <text>, sleep, wake; Ctrl-C ends'

/** What a device says to an event; `asleep` is what it says of its screen. */
export function answerTo(event: string, asleep = false): Ack {
  if (event === 'device_status') return { ack: true, status: asleep ? 'sleep' : 'on' }
  if (event === 'face_data_count') return { ack: true, count: 56 }
  return { ack: true }
}

/** One handler for every event that a device is sent. */
export function handleAll(
  handle: (event: CampusEventName, body: unknown) => Ack | Promise<Ack>,
): DeviceHandlers {
  return Object.fromEntries(
    campusEventsFor('device').map((event) => [event, (body: unknown) => handle(event, body)]),
  )
}

/** A device in the terminal: it answers everything that comes. */
export async function runDeviceClient(target: ConnectTarget): Promise<void> {
  const { baseUrl, createCredential, print, request } = target
  let asleep = false
  const handlers = handleAll((event, body) => {
    const answer = answerTo(event, asleep)
    print(`${event} ${JSON.stringify(body)} → ${JSON.stringify(answer)}`)
    return answer
  })
  const device = new CampusDevice({
    endpoint: baseUrl,
    signature: createCredential,
    handlers,
    reconnect: { maxMs: 2_000 },
  })
  device.on('frame', ({ direction, data }) => {
    if (direction === 'out') return
    const [event, body] = JSON.parse(String(data)) as [string, unknown]
    if (!Object.hasOwn(handlers, event)) print(body === null ? event : `${event} ${JSON.stringify(body)}`)
    if (event === 'auth:fail')
      process.stderr.write(`is it registered? npm run carillon -- device put ${request.user}\n`)
  })
  let wasOpen = false
  let problem: string | undefined
  device.on('error', ({ code, message }) => {
    // What is refused, or not reachable at first, is not tried again: whoever typed it wants to know.
    if (device.state.type !== 'connecting' || (code !== 'refused' && wasOpen)) return
    problem = code === 'refused' ? message : `not reachable: ${message}`
    queueMicrotask(() => device.close())
  })
  const ended = new Promise<string | undefined>((resolve) => {
    device.on('state', (state) => {
      if (state.type === 'open') wasOpen = true
      if (state.type !== 'closed') return
      const { code, reason } = state.close
      resolve(problem ?? (code === 1000 ? undefined : `${code} ${reason}`))
    })
  })
  device.connect()
  process.stderr.write(`a device at ${baseUrl}: ${request.user}; ${USAGE_LINE}\n`)
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => {
    const [command = '', first = '', second] = line.trim().split(/\s+/)
    // What the server answers is printed as it comes.
    const done = (asked: Promise<void>) => void asked.catch(() => {})
    if (command === 'join') done(device.join(first, second ? { ticket: () => second } : {}))
    else if (command === 'leave') done(device.leave(first))
    else if (command === 'result') sendResult(line.trim().slice('result '.length))
    else if (command === 'sleep' || command === 'wake') asleep = command === 'sleep'
    else if (command !== '') process.stderr.write(`${USAGE_LINE}\n`)
  })
  const sendResult = (result: string) => {
    try {
      device.sendResult(result)
    } catch (error) {
      process.stderr.write(`${(error as Error).message}\n`)
    }
  }
  const leave = () => device.close()
  process.once('SIGINT', leave)
  const reason = await ended
  process.off('SIGINT', leave)
  lines.close()
  if (reason !== undefined) throw new ToolError(`the connection ended: ${reason}`)
}
