import { expect, test } from '@jest/globals'
import { contract } from './contract.ts'
import { publishable } from './publishable.ts'

test.each(publishable.map((each) => [each.id, each] as const))('%s: its example is valid', (id, each) => {
  const { channel, example } = each
  const subject = channel.subject(example.params as never)
  expect(channel.decode(subject, channel.encode(example.payload))).toMatchObject({ ok: true })
  const [domain = '', name = ''] = id.split('.')
  expect(contract.domains[domain]?.[name]).toBe(channel)
})
