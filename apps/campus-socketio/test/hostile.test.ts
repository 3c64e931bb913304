import { once } from 'node:events'
import { connect as tcpConnect } from 'node:net'
import { DEVELOPMENT_SECRET, signToken } from '@carillon/auth'
import type { Bus } from '@carillon/bus'
import { campus } from '@carillon/events'
import { eventually, NatsServer, WebSocketClient } from '@carillon/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import {
  bootCampus,
  type CampusService,
  connectInternal,
  PATH,
  registerDevice,
  signatureOf,
  TestDevice,
  urlOf,
} from './campus.ts'

let nats: NatsServer
let open: CampusService
let ticket: CampusService
let internal: Bus
const log: string[] = []
beforeAll(async () => {
  nats = await NatsServer.start()
  const logDestination = { write: (line: string) => void log.push(line) }
  const small = { CAMPUS_MAX_OUTBOX_BYTES: '200000', CAMPUS_MAX_CONNECTIONS_PER_ADDRESS: '400' }
  open = await bootCampus(
    nats,
    { ...small, CAMPUS_MAX_REQUESTS_PER_SECOND: '1000', LOG_LEVEL: 'trace' },
    { logDestination },
  )
  ticket = await bootCampus(nats, {
    CAMPUS_ROOM_ACCESS: 'ticket',
    CAMPUS_CORS_ORIGINS: 'https://school.example',
  })
  internal = await connectInternal(nats)
  for (const serialNo of ['AC1', 'AC2']) await registerDevice(internal, serialNo, { student_ids: [11] })
})
afterAll(async () => {
  await internal?.stop()
  await Promise.all([open?.stop(), ticket?.stop()])
  await nats?.stop()
})

/** A client of Engine.IO 4 that sends what it likes, past any library. */
async function raw(service: CampusService, connected = true): Promise<WebSocketClient> {
  const client = await WebSocketClient.connect(
    `${urlOf(service).replace('http', 'ws')}${PATH}/?EIO=4&transport=websocket`,
  )
  expect(await client.next()).toMatch(/^0\{"sid"/)
  if (connected) {
    client.send('40')
    expect(await client.next()).toMatch(/^40\{"sid"/)
  }
  return client
}
const stillWorks = async (service: CampusService) => {
  const device = await TestDevice.connect(service, 'AC2')
  device.close()
}
const metric = async (service: CampusService, name: string) => {
  const text = await (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text()
  return Number(new RegExp(`^carillon_${name}\\{[^}]*\\} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN)
}

describe('signatures', () => {
  test.each([
    ['of another key', Buffer.from('AC1:another').toString('base64')],
    ['of an unknown device', signatureOf('nobody')],
    ['that is none', 'abcdefg123456'],
    ['that is a number', 1],
    ['that is missing', undefined],
  ])('%s: auth:fail, the third time the connection is closed', async (_what, signature) => {
    const client = await TestDevice.anonymous(open)
    for (let i = 0; i < 3; i++) client.socket.emit('authentication', { signature })
    await eventually(() => client.disconnects.length === 1)
    expect(client.said.filter(({ event }) => event === 'auth:fail').map(({ body }) => body)).toEqual(
      Array(3).fill({ error_msg: 'signature not valid.' }),
    )
    expect(client.said.at(-1)).toMatchObject({ event: 'connection:close', body: { code: 4405 } })
  })

  test('too many failures for one device from one address: its own key is refused too, other devices come in', async () => {
    await registerDevice(internal, 'AC-guessed')
    for (let i = 0; i < 3; i++) {
      const client = await TestDevice.anonymous(open)
      const signature = Buffer.from(`AC-guessed:${i}`).toString('base64')
      for (let j = 0; j < 3; j++) client.socket.emit('authentication', { signature })
      await eventually(() => client.disconnects.length === 1)
    }
    const device = new TestDevice(urlOf(open), 'AC-guessed')
    expect(await device.says('auth:fail')).toEqual({
      error_msg: 'too many failed authentications from this address',
    })
    device.close()
    await stillWorks(open)
  })

  test('no signature reaches the log', () => {
    expect(log.join('')).not.toContain(signatureOf('AC2'))
    expect(log.join('')).not.toContain('key of')
  })
})

describe('rooms with tickets', () => {
  const sign = (claims: object, secret = DEVELOPMENT_SECRET) =>
    signToken(secret, { exp: Math.floor(Date.now() / 1_000) + 60, ...claims } as never)

  test('a device joins its own and its students’ rooms, and no other', async () => {
    const device = await TestDevice.connect(ticket, 'AC1')
    const answers = []
    for (const room of ['AC1', 'AC2', 'bp_student_11', 'bp_student_12', 'wxa_student_11'])
      answers.push(await device.join(room))
    expect(answers.map((each) => each.split(':')[1])).toEqual(['ok', 'fail', 'ok', 'fail', 'fail'])
    device.close()
  })

  test.each([
    ['none', async () => undefined, 'fail'],
    ['one that lists the room', () => sign({ rooms: ['wxa_student_5'] }), 'ok'],
    ['one for another room', () => sign({ rooms: ['wxa_student_6'] }), 'fail'],
    ['one that has expired', () => sign({ rooms: ['wxa_student_5'], exp: 1 }), 'fail'],
    ['a forged one', () => sign({ rooms: ['wxa_student_5'] }, 'another-secret-altogether'), 'fail'],
    ['one without rooms', () => sign({ rooms: 'wxa_student_5' }), 'fail'],
  ])('a ticket, %s', async (_what, make, expected) => {
    const client = await TestDevice.anonymous(ticket)
    const given = await make()
    expect(await client.join('wxa_student_5', given === undefined ? {} : { ticket: given })).toBe(
      `join_room:${expected}`,
    )
    client.close()
  })

  test('a device that is bound to another class hears no more of its former students', async () => {
    await registerDevice(internal, 'AC-moved', { student_ids: [1, 2] })
    const device = await TestDevice.connect(ticket, 'AC-moved')
    for (const room of ['bp_student_1', 'bp_student_2']) expect(await device.join(room)).toBe('join_room:ok')
    await registerDevice(internal, 'AC-moved', { student_ids: [2] })
    await eventually(async () => {
      const [reported] = await internal
        .requestMany(
          (await import('@carillon/events')).control.connections,
          { service: 'campus-socketio' },
          { user_id: 'AC-moved' },
          { waitMs: 200 },
        )
        .then((all) => all.filter(({ count }) => count > 0))
      expect(reported?.connections?.[0]?.subscriptions).toEqual(['bp_student_2'])
      return true
    })
    device.close()
  })
})

describe('what is not for clients', () => {
  test('a web client emits commands and results: nobody gets them', async () => {
    const device = await TestDevice.connect(open, 'AC1')
    expect(await device.join('AC1')).toBe('join_room:ok')
    const web = await TestDevice.anonymous(open)
    expect(await web.join('AC1')).toBe('join_room:ok')
    const published: string[] = []
    internal.subscribe(campus.room, { room: 'AC1' }, ({ params }) => published.push(params.event))
    await internal.roundTrip()
    web.socket.emit('cmd_result', { result: 'forged' })
    web.socket.emit('cmd_result', { result: 'forged', room: 'AC1' })
    web.socket.emit('remote_cmd', { encrypted_cmd: 'forged', room: 'AC1' })
    web.socket.emit('memos_update', { memo_id: 1 })
    await eventually(() => web.said.filter(({ event }) => event.endsWith(':fail')).length === 4)
    // Another device cannot answer for this one either.
    const other = await TestDevice.connect(open, 'AC2')
    expect(await other.join('AC1')).toBe('join_room:ok')
    other.socket.emit('cmd_result', { result: 'forged' })
    await other.says('cmd_result:fail')
    device.socket.emit('cmd_result', { result: 'real' })
    expect(await web.says('cmd_result')).toEqual({ result: 'real' })
    expect(published).toEqual(['cmd_result'])
    expect(device.said.map(({ event }) => event)).toEqual(['auth:ok', 'join_room:ok'])
    for (const client of [device, web, other]) client.close()
  })

  test('a socket that is not authenticated gets no device’s events, though it is in its room', async () => {
    const eavesdropper = await TestDevice.anonymous(open)
    expect(await eavesdropper.join('AC1')).toBe('join_room:ok')
    const device = await TestDevice.connect(open, 'AC1')
    await internal.request(campus.device, { serialNo: 'AC1', event: 'media_stop' }, { stop: true })
    await internal.publishStored(campus.outbox, { serialNo: 'AC1', event: 'text_stop' }, { stop: true })
    await device.gets('text_stop')
    internal.publish(campus.room, { room: 'AC1', event: 'remote_cmd' }, { encrypted_cmd: 'x' })
    await eavesdropper.says('remote_cmd')
    expect(eavesdropper.received).toEqual([])
    device.close()
    eavesdropper.close()
  })

  test('the session id, which is a secret, is not given away', async () => {
    // In revision 3 the client's own id is the engine's: it must be told to nobody else.
    const device = await TestDevice.connect(open, 'AC1', { version: '2.5.0' })
    const web = await TestDevice.anonymous(open)
    await device.join('AC1')
    await web.join('AC1')
    device.socket.emit('cmd_result', { result: 'x' })
    await web.says('cmd_result')
    const { connections } = (await internal.request(
      (
        await import('@carillon/events')
      ).control.connections,
      { service: 'campus-socketio' },
      { user_id: 'AC1' },
    )) as { connections?: unknown }
    const sid = device.socket.io.engine.id
    expect(sid.length).toBeGreaterThan(10)
    expect(JSON.stringify([web.said, connections])).not.toContain(sid)
    expect(log.join('')).not.toContain(sid)
    device.close()
    web.close()
  })
})

describe('packets', () => {
  const nested = `${'['.repeat(7_000)}${']'.repeat(7_000)}`
  test.each([
    ['a prototype', '42["join_room",{"__proto__":{"room":"bp_student_1"}}]', 'join_room:fail'],
    ['a constructor', '42["join_room",{"constructor":{"prototype":{"room":"x"}}}]', 'join_room:fail'],
    ['an array', '42["join_room",["bp_student_1"]]', 'join_room:fail'],
    ['nothing', '42["join_room"]', 'join_room:fail'],
    ['nesting', `42["join_room",{"room":${nested}}]`, 'join_room:fail'],
    ['a number for a name', '42[1,2]', 'protocol:fail'],
    ['the library’s own names', '42["disconnecting"]', 'protocol:fail'],
    ['binary', '451-["join_room",{"_placeholder":true,"num":0}]', 'protocol:fail'],
    ['no packet', '4hello', 'protocol:fail'],
    ['an acknowledgement nobody asked for', '4399[{"ack":true}]', undefined],
    ['20,000 bytes', `42["join_room",{"room":"${'x'.repeat(20_000)}"}]`, 'protocol:fail'],
  ])('%s: %#', async (_what, packet, expected) => {
    const client = await raw(open)
    client.send(packet)
    if (expected) expect(await client.next()).toMatch(`42["${expected}"`)
    client.send('42["join_room",{"room":"bp_student_1"}]')
    expect(await client.next()).toBe('42["join_room:ok"]')
    expect(({} as { room?: unknown }).room).toBeUndefined()
    client.close()
  })

  test('a megabyte is not even received', async () => {
    const client = await raw(open)
    client.send(`42["join_room",{"room":"${'x'.repeat(1_000_000)}"}]`)
    expect((await client.end()).code).toBe(1009)
    await stillWorks(open)
  })

  test('binary frames', async () => {
    const client = await raw(open)
    for (let i = 0; i < 25; i++) client.send(Buffer.alloc(10))
    await client.end()
    expect(client.frames.filter((frame) => frame.includes('protocol:fail')).length).toBe(21)
    expect(client.frames.join()).toContain('"code":4429')
  })

  test('another namespace', async () => {
    const client = await raw(open)
    client.send('40/admin,')
    expect(await client.next()).toBe('44/admin,{"message":"Invalid namespace"}')
    client.close()
  })

  test('the namespace twice: closed, there is one session for each connection', async () => {
    const client = await raw(open, false)
    for (let i = 0; i < 2; i++) client.send('40')
    await client.end()
    await stillWorks(open)
  })

  test('a flood is refused, then closed', async () => {
    const client = await raw(open)
    for (let i = 0; i < 2_000; i++) client.send('42["leave_room",{"room":"bp_student_1"}]')
    await client.end()
    expect(client.frames.join()).toContain('"code":4429')
    await stillWorks(open)
  })

  test('a flood of pings too', async () => {
    const client = await raw(open)
    for (let i = 0; i < 2_000; i++) client.socket.ping()
    await client.end()
    await stillWorks(open)
  })

  test('more rooms than a connection may be in', async () => {
    const client = await TestDevice.anonymous(open)
    for (let i = 0; i < 20; i++) expect(await client.join(`bp_student_${i}`)).toBe('join_room:ok')
    expect(await client.join('bp_student_99')).toBe('join_room:fail')
    await client.leave('bp_student_0')
    expect(await client.join('bp_student_99')).toBe('join_room:ok')
    client.close()
  })

  test('answers that are deep, forged or late', async () => {
    const deep = `[{"ack":true,"x":${'['.repeat(7_500)}${']'.repeat(7_500)}}]`
    for (const [answer, status] of [
      [deep, 'rejected'],
      ['[{"__proto__":{"ack":true}}]', 'rejected'],
      ['[{"ack":true}]', 'acked'],
    ] as const) {
      await registerDevice(internal, 'AC-raw')
      const client = await raw(open)
      client.send(`42["authentication",{"signature":"${signatureOf('AC-raw')}"}]`)
      expect(await client.next()).toBe('42["auth:ok"]')
      const reply = internal.request(
        campus.device,
        { serialNo: 'AC-raw', event: 'media_stop' },
        { stop: true },
      )
      const id = /^42(\d+)\["media_stop"/.exec(await client.next())?.[1]
      client.send(`43${id}${answer}`)
      const { status: given } = await reply.catch(() => ({ status: 'rejected' }))
      expect(given).toBe(status)
      client.close()
    }
  })
})

describe('connections', () => {
  const poll = (service: CampusService, query: string, init: RequestInit = {}) =>
    fetch(`${urlOf(service)}${PATH}/?EIO=4&transport=polling${query}`, init)

  test('another path, another origin', async () => {
    expect((await fetch(`${urlOf(open)}/socket.io/?EIO=4&transport=polling`)).status).toBe(404)
    expect((await fetch(`${urlOf(open)}${PATH}x/?EIO=4&transport=polling`)).status).toBe(404)
    const allowed = await poll(ticket, '', { headers: { origin: 'https://school.example' } })
    expect(allowed.headers.get('access-control-allow-origin')).toBe('https://school.example')
    expect(allowed.headers.get('access-control-allow-credentials')).toBe('true')
    const other = await poll(ticket, '', { headers: { origin: 'https://evil.example' } })
    expect(other.headers.get('access-control-allow-origin')).toBeNull()
    await expect(
      WebSocketClient.connect(`${urlOf(ticket).replace('http', 'ws')}${PATH}/?EIO=4&transport=websocket`, {
        headers: { origin: 'https://evil.example' },
      }),
    ).rejects.toThrow('403')
  })

  test('a flood of polling requests of one session: 429, then the session ends', async () => {
    const sid = /"sid":"([^"]+)"/.exec(await (await poll(open, '')).text())?.[1]
    const pong = async () => (await poll(open, `&sid=${sid}`, { method: 'POST', body: '3' })).status
    expect(await pong()).toBe(200)
    // At once on one socket, so that however slow the client is, the server has them faster than the limit.
    const request = `POST ${PATH}/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n3`
    const flood = async () => {
      const socket = tcpConnect(Number(new URL(urlOf(open)).port), '127.0.0.1')
      socket.on('error', () => {})
      socket.setEncoding('latin1').write(request.repeat(400))
      let received = ''
      socket.on('data', (data) => {
        received += data
      })
      // A refusal ends the connection.
      await once(socket, 'close')
      return received
    }
    expect(await flood()).toContain('HTTP/1.1 429 ')
    await eventually(async () => {
      if ((await pong()) === 400) return true
      await flood()
      return false
    })
    await stillWorks(open)
  })

  test('a megabyte by polling', async () => {
    const sid = /"sid":"([^"]+)"/.exec(await (await poll(open, '')).text())?.[1]
    const answer = await poll(open, `&sid=${sid}`, { method: 'POST', body: 'x'.repeat(1_000_000) }).catch(
      () => undefined,
    )
    expect([413, undefined]).toContain(answer?.status)
    await stillWorks(open)
  })

  test('half-finished handshakes are bounded in number and in time', async () => {
    const before = await metric(open, 'connections')
    const answers = await Promise.all(
      Array.from({ length: 600 }, () => poll(open, '').then(({ status }) => status)),
    )
    expect(answers.filter((status) => status === 429).length).toBeGreaterThanOrEqual(200)
    expect(await metric(open, 'connections')).toBeLessThanOrEqual(400)
    // And TCP connections that never finish a request.
    const silent = Array.from({ length: 50 }, () => {
      const socket = tcpConnect(open.transport.port, '127.0.0.1')
      socket.write(`GET ${PATH}/?EIO=4 HTTP/1.1\r\nHost: x\r\n`)
      socket.on('error', () => {})
      socket.resume()
      return new Promise((ended) => socket.once('close', ended))
    })
    await Promise.all(silent)
    await eventually(async () => (await metric(open, 'connections')) <= before, 30_000)
    await stillWorks(open)
  })

  test('a client that neither authenticates nor joins a room is closed; one in a room is not', async () => {
    const idle = await TestDevice.anonymous(open)
    const member = await TestDevice.anonymous(open)
    await member.join('bp_student_1')
    await eventually(() => idle.disconnects.length === 1, 20_000)
    expect(await idle.says('connection:close')).toMatchObject({ code: 4401 })
    expect(member.disconnects).toEqual([])
    member.close()
  })

  test('a device that does not read is closed, and others in its room feel nothing', async () => {
    const slow = await raw(open)
    slow.send('42["join_room",{"room":"bp_student_77"}]')
    expect(await slow.next()).toBe('42["join_room:ok"]')
    slow.socket.pause()
    const poller = await TestDevice.anonymous(open, { transport: 'polling' })
    const quick = await TestDevice.anonymous(open)
    for (const member of [poller, quick]) expect(await member.join('bp_student_77')).toBe('join_room:ok')
    const memo_ids = Array.from({ length: 5_000 }, (_, i) => i)
    let sent = 0
    await eventually(async () => {
      internal.publish(campus.room, { room: 'bp_student_77', event: 'memos_read' }, { memo_ids })
      sent += 1
      await internal.roundTrip()
      return (await metric(open, 'slow_consumers_total')) >= 1
    })
    const count = ({ said }: TestDevice) => said.filter(({ event }) => event === 'memos_read').length
    await eventually(() => count(quick) === sent)
    await eventually(() => count(poller) === sent)
    slow.close()
    poller.close()
    quick.close()
  })
})
