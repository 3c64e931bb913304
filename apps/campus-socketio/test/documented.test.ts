import type { Bus } from '@carillon/bus'
import { campus } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { bootCampus, type CampusService, connectInternal, registerDevice, urlOf } from './campus.ts'
import { type ClientSocket, clientOf, combinations, transports } from './clients.ts'

/*
 * The three JavaScript examples of the protocol's document, as they stand there but for the host and the choice of
 * the transport.
 */
let nats: NatsServer
let service: CampusService
let internal: Bus
beforeAll(async () => {
  nats = await NatsServer.start()
  service = await bootCampus(nats)
  internal = await connectInternal(nats)
  await internal.request(
    campus.device_put,
    {},
    { serial_no: 'sn12345678', device_key: 'abcdef', student_ids: [101] },
  )
  await registerDevice(internal, 'AC4178234415')
})
afterAll(async () => {
  await internal?.stop()
  await service?.stop()
  await nats?.stop()
})

describe.each(combinations)('client %s over %s', (version, transport) => {
  /** The example's own `io`, with what the test needs besides. */
  const open = () => {
    const sockets: ClientSocket[] = []
    const io = (_host: string, options: object) => {
      const more = { transports: [...transports[transport]], forceNew: true, reconnection: false }
      const socket = clientOf(version)(urlOf(service), { ...options, ...more })
      sockets.push(socket)
      return socket
    }
    return {
      io: Object.assign(io, { connect: io }),
      close: () => sockets.map((socket) => socket.disconnect()),
      settled: async () => {
        const [socket] = sockets
        await eventually(() => socket?.connected ?? false)
        if (transport === 'upgrade') {
          await eventually(() => socket?.io.engine.transport.name === 'websocket')
        }
      },
    }
  }

  test('authentication and a class update', async () => {
    const { io, close, settled } = open()
    const log: unknown[] = []
    const console = { log: (line: unknown) => log.push(line) }
    const element = { innerHTML: '' as unknown }
    const document = { getElementById: () => element }

    var socket = io('https://bpstaging.adachina.net', {path: "/socket/socket.io"}); // biome-ignore format: verbatim

    socket.on('connect', () => {
      socket.emit('authentication', { signature: 'c24xMjM0NTY3ODphYmNkZWY=' })
    })
    socket.on('auth:ok', () => {
      console.log('authentication ok')
    })
    socket.on('auth:fail', (data: { error_msg: string }) => {
      console.log(data.error_msg)
    })
    socket.on('class:update', (data: unknown, callback: (answer: object) => void) => {
      console.log(data)
      callback({ ack: true })
      document.getElementById().innerHTML = data
    })

    await eventually(() => log.length === 1)
    expect(log).toEqual(['authentication ok'])
    await settled()
    const reply = await internal.request(
      campus.device,
      { serialNo: 'sn12345678', event: 'class:update' },
      { class: '初三1班' },
    )
    expect(reply).toEqual({ status: 'acked', response: { ack: true } })
    expect(element.innerHTML).toEqual({ class: '初三1班' })
    close()
  })

  test('memos', async () => {
    const { io, close, settled } = open()
    const received: unknown[] = []
    const answers: string[] = []

    var socket = io.connect('https://bpstaging.adachina.net', { path: '/socket/socket.io' })

    // 加入房间
    socket.on('connect', () => {
      socket.emit('join_room', { room: 'bp_student_101' })
    })

    // 接受新留言推送
    socket.on('memos_update', (data) => {
      received.push(data)
    })

    // 接受留言已读状态推送
    socket.on('memos_read', (data) => {
      received.push(data)
    })

    socket.on('join_room:ok', (...args: unknown[]) => {
      answers.push('join_room:ok')
      expect(args).toEqual([])
    })
    socket.on('leave_room:ok', (...args: unknown[]) => {
      answers.push('leave_room:ok')
      expect(args).toEqual([])
    })

    await eventually(() => answers.length === 1)
    await settled()
    internal.publish(campus.room, { room: 'bp_student_101', event: 'memos_update' }, { memo_id: 20 })
    internal.publish(campus.room, { room: 'bp_student_101', event: 'memos_read' }, { memo_ids: [20, 22, 24] })
    await eventually(() => received.length === 2)
    expect(received).toEqual([{ memo_id: 20 }, { memo_ids: [20, 22, 24] }])

    // 离开房间
    socket.emit('leave_room', { room: 'bp_student_101' })

    await eventually(() => answers.length === 2)
    expect(answers).toEqual(['join_room:ok', 'leave_room:ok'])
    close()
  })

  test('remote debugging, the side of the web page', async () => {
    const { io, close, settled } = open()
    const received: unknown[] = []
    let joined = false

    var socket = io.connect('https://bpstaging.adachina.net', { path: '/socket/socket.io' })

    // 加入房间
    socket.on('connect', () => {
      socket.emit('join_room', { room: 'AC4178234415' })
    })

    // 接受命令执行反馈
    socket.on('cmd_result', (data) => {
      received.push(data)
    })

    socket.on('join_room:ok', () => {
      joined = true
    })
    await eventually(() => joined)
    await settled()
    internal.publish(campus.room, { room: 'AC4178234415', event: 'cmd_result' }, { result: 'ok' })
    await eventually(() => received.length === 1)
    expect(received).toEqual([{ result: 'ok' }])

    // 离开房间
    socket.emit('leave_room', { room: 'AC4178234415' })
    close()
  })
})
