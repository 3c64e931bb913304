import { defineEvent, json, type StreamDefinition } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { Type } from 'typebox'
import { Bus, type StoredMessage } from '../src/index.ts'

const definition: StreamDefinition = {
  name: 'LETTERS',
  summary: '',
  subjects: ['letter.*.*'],
  messagesPerSubject: 1,
  maxAgeMs: 0,
  storage: 'file',
}
const letter = defineEvent('letter.{to}.{kind}', {
  summary: '',
  direction: 'receive',
  payload: json(Type.Object({ n: Type.Integer() })),
  stream: definition,
})

let nats: NatsServer
let bus: Bus
beforeEach(async () => {
  nats = await NatsServer.start()
  bus = new Bus({ url: nats.url, name: 'test' })
  bus.start()
  await eventually(() => bus.connected)
  await bus.stream(definition).ensure()
})
afterEach(async () => {
  await bus.stop()
  await nats.stop()
})

const store = (to: string, kind: string, n: number, headers?: Record<string, string>) =>
  bus.publishStored(letter, { to, kind }, { n }, headers ? { headers } : {})

test('what is stored for one receiver, in the order of publishing, the last of each kind', async () => {
  const stream = bus.stream(definition)
  await store('ann', 'a', 1)
  await store('bob', 'a', 2)
  await store('ann', 'b', 3, { 'Carillon-Expires-At': '5' })
  await store('ann', 'a', 4)
  const found: StoredMessage[] = []
  for (let next = 1; ; next = (found.at(-1)?.sequence ?? 0) + 1) {
    const message = await stream.next(letter.filter({ to: 'ann' }), next)
    if (message === undefined) break
    found.push(message)
  }
  expect(found.map(({ subject, sequence }) => `${subject} ${sequence}`)).toEqual([
    'letter.ann.b 3',
    'letter.ann.a 4',
  ])
  expect(found[0]?.header('Carillon-Expires-At')).toBe('5')
  expect(found[1]?.header('Carillon-Expires-At')).toBeUndefined()
})

test('a delete takes that very message, never a newer one', async () => {
  const stream = bus.stream(definition)
  const first = await store('ann', 'a', 1)
  await store('ann', 'a', 2)
  await stream.delete(first)
  await stream.delete(first)
  expect((await stream.last('letter.ann.a'))?.sequence).toBe(2)
  await stream.delete(2)
  expect(await stream.last('letter.ann.a')).toBeUndefined()
})
