import { binary, defineEvent, defineRequest, json, type StreamDefinition } from '@carillon/events'
import { eventually, NatsServer, publishRaw } from '@carillon/testkit'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Type } from 'typebox'
import { Bus, BusUnavailable, NoResponders, Reply } from '../src/index.ts'

const stream: StreamDefinition = {
  name: 'THINGS',
  summary: '',
  subjects: ['thing.*.made'],
  messagesPerSubject: 1,
  maxAgeMs: 60_000,
  storage: 'memory',
}
const made = defineEvent('thing.{id}.made', {
  summary: 'made',
  direction: 'receive',
  payload: json(Type.Object({ size: Type.Integer() })),
  stream,
})
const raw = defineEvent('raw.{id}', {
  summary: 'raw',
  direction: 'receive',
  payload: binary('application/x-protobuf'),
})
const measure = defineRequest('thing.{id}.measure', {
  summary: 'measure',
  direction: 'receive',
  payload: json(Type.Object({ unit: Type.String() })),
  reply: json(Type.Object({ size: Type.Integer() })),
  answers: 'one',
})

let nats: NatsServer
let buses: Bus[]
beforeEach(async () => {
  nats = await NatsServer.start()
  buses = []
})
afterEach(async () => {
  await Promise.all(buses.map((bus) => bus.stop()))
  await nats.stop()
})

function bus(): Bus {
  const made = new Bus({ url: nats.url, name: 'test' })
  buses.push(made)
  made.start()
  return made
}
async function connected(): Promise<Bus> {
  const made = bus()
  await eventually(() => made.connected)
  return made
}

describe('publish and subscribe', () => {
  test('typed events, with wildcards and headers', async () => {
    const one = await connected()
    const got: unknown[] = []
    one.subscribe(made, {}, ({ params, payload, publishedAtMs }) =>
      got.push({ ...params, ...payload, publishedAtMs }),
    )
    const now = Date.now()
    one.publish(made, { id: 'a.b' }, { size: 3 }, { headers: { 'Carillon-Published-At': String(now) } })
    await one.roundTrip()
    await publishRaw(nats.port, 'thing.x.made', '{"size":4}')
    await eventually(() => got.length === 2)
    expect(got).toEqual([
      { id: 'a.b', size: 3, publishedAtMs: now },
      { id: 'x', size: 4, publishedAtMs: undefined },
    ])
  })

  test.each(['17', '0', '-1', '1e30', 'NaN', 'Infinity', '99999999999999', 'soon', '0x10', ' '])(
    'an absurd Carillon-Published-At (%s) is ignored',
    async (value) => {
      const one = await connected()
      const got: (number | undefined)[] = []
      one.subscribe(made, {}, ({ publishedAtMs }) => got.push(publishedAtMs))
      one.publish(made, { id: '1' }, { size: 3 }, { headers: { 'Carillon-Published-At': value } })
      await eventually(() => got.length === 1)
      expect(got).toEqual([undefined])
    },
  )

  test('a bad payload is dropped and reported; the next one passes', async () => {
    const one = await connected()
    const got: number[] = []
    const rejected: unknown[] = []
    one.onRejected((each) => rejected.push(each))
    one.subscribe(made, { id: 'a' }, ({ payload }) => got.push(payload.size))
    await one.roundTrip()
    await publishRaw(nats.port, 'thing.a.made', '{"size":"big"}')
    await publishRaw(nats.port, 'thing.a.made', '{"size":1}')
    await eventually(() => got.length === 1)
    expect(rejected).toEqual([{ subject: 'thing.a.made', reason: '/size must be integer' }])
  })

  test('bytes of another format', async () => {
    const one = await connected()
    const got: Uint8Array[] = []
    one.subscribe(raw, {}, ({ payload }) => got.push(payload))
    one.publish(raw, { id: '1' }, Uint8Array.of(8, 255))
    await eventually(() => got.length === 1)
    expect([...(got[0] as Uint8Array)]).toEqual([8, 255])
  })
})

describe('request and serve', () => {
  test('one answer', async () => {
    const one = await connected()
    one.serve(measure, {}, ({ params, payload }) => ({ size: params.id.length + payload.unit.length }))
    expect(await one.request(measure, { id: 'abc' }, { unit: 'mm' })).toEqual({ size: 5 })
  })

  test('bytes and headers, both ways', async () => {
    const one = await connected()
    const echo = defineRequest('echo.{method...}', {
      summary: '',
      direction: 'send',
      payload: binary('application/x-protobuf'),
      reply: binary('application/x-protobuf'),
      answers: 'one',
    })
    one.serve(echo, {}, ({ params, payload, header }) => {
      return new Reply(payload, { 'Carillon-Code': `${params.method} ${header('Carillon-User')}` })
    })
    const answer = await one.requestWithHeaders(echo, { method: 'v1.user.get' }, Uint8Array.of(0, 255), {
      headers: { 'Carillon-User': '42' },
    })
    expect([...answer.payload]).toEqual([0, 255])
    expect(answer.header('Carillon-Code')).toBe('v1.user.get 42')
    expect(answer.header('Other')).toBeUndefined()
  })

  test('nobody serves it', async () => {
    const one = await connected()
    await expect(one.request(measure, { id: 'abc' }, { unit: 'mm' })).rejects.toThrow(NoResponders)
    expect(await one.requestMany(measure, { id: 'abc' }, { unit: 'mm' })).toEqual([])
  })

  test('every instance answers', async () => {
    const [one, two] = [await connected(), await connected()]
    one.serve(measure, {}, () => ({ size: 1 }))
    two.serve(measure, {}, () => ({ size: 2 }))
    await Promise.all([one.roundTrip(), two.roundTrip()])
    const answers = await one.requestMany(measure, { id: 'x' }, { unit: 'mm' }, { waitMs: 300 })
    expect(answers.map(({ size }) => size).sort()).toEqual([1, 2])
  })

  test('a bad request, and a handler that throws, are answered with the reason', async () => {
    const one = await connected()
    const anything = defineRequest('thing.{id}.measure', {
      summary: '',
      direction: 'send',
      payload: json(Type.Unknown()),
      reply: json(Type.Unknown()),
      answers: 'one',
    })
    one.serve(measure, {}, () => {
      throw new Error('with inner details')
    })
    expect(await one.request(anything, { id: 'x' }, { unit: 5 })).toEqual({
      error_code: -1,
      error_reason: '/unit must be string',
    })
    expect(await one.request(anything, { id: 'x' }, { unit: 'mm' })).toEqual({
      error_code: -1,
      error_reason: 'internal error',
    })
  })
})

describe('NATS that comes and goes', () => {
  test('absent at the start: nothing is sent meanwhile, and subscriptions wait', async () => {
    await nats.halt()
    const one = bus()
    const got: number[] = []
    one.subscribe(made, {}, ({ payload }) => got.push(payload.size))
    expect(() => one.publish(made, { id: 'a' }, { size: 1 })).toThrow(BusUnavailable)
    await nats.resume()
    await eventually(() => one.connected)
    one.publish(made, { id: 'a' }, { size: 2 })
    await eventually(() => got.length === 1)
    expect(got).toEqual([2])
  })

  test('restarted: it says so, and subscriptions come back', async () => {
    const one = await connected()
    const states: boolean[] = []
    one.onChange((up) => states.push(up))
    const got: number[] = []
    one.subscribe(made, {}, ({ payload }) => got.push(payload.size))
    await nats.halt('SIGKILL')
    await eventually(() => !one.connected)
    expect(() => one.publish(made, { id: 'a' }, { size: 1 })).toThrow(BusUnavailable)
    await nats.resume()
    await eventually(() => one.connected)
    await one.roundTrip()
    await publishRaw(nats.port, 'thing.a.made', '{"size":7}')
    await eventually(() => got.length === 1)
    expect(states).toEqual([true, false, true])
    expect(one.reconnects).toBe(1)
  })

  test('a listener that throws keeps neither the others nor the next connection from coming', async () => {
    const one = await connected()
    one.onChange((up) => {
      if (!up) throw new Error('our own mistake')
    })
    const states: boolean[] = []
    one.onChange((up) => states.push(up))
    await nats.halt('SIGKILL')
    await eventually(() => states.length === 2)
    await nats.resume()
    await eventually(() => one.connected)
    expect(states).toEqual([true, false, true])
  })

  test('stopping does not wait for a server that is away', async () => {
    await nats.halt()
    const one = bus()
    await one.stop()
    await one.stop()
  })
})

describe('streams', () => {
  test('are made on demand, keep the last message, and follow a changed definition', async () => {
    const one = await connected()
    await one.stream(stream).ensure()
    expect(await one.stream(stream).last('thing.a.made')).toBeUndefined()
    await one.publishStored(made, { id: 'a' }, { size: 1 })
    await publishRaw(nats.port, 'thing.a.made', '{"size":2}')
    const last = await eventually(async () => {
      const found = await one.stream(stream).last('thing.a.made')
      return found?.sequence === 2 && found
    })
    expect(Buffer.from(last.bytes).toString()).toBe('{"size":2}')

    const longer = one.stream({ ...stream, maxAgeMs: 120_000, subjects: ['thing.*.made', 'thing.*.sold'] })
    await longer.ensure()
    await publishRaw(nats.port, 'thing.a.sold', '{}')
    await eventually(async () => (await longer.last('thing.a.sold'))?.sequence === 3)
  })

  test('a memory stream that is lost with the server is made again', async () => {
    const one = await connected()
    one.keepStream(stream)
    await eventually(async () => (await one.stream(stream).last('thing.a.made')) === undefined)
    await nats.halt('SIGKILL')
    await nats.resume()
    await eventually(
      async () => one.connected && (await one.publishStored(made, { id: 'a' }, { size: 9 })) === 1,
    )
  })
})
