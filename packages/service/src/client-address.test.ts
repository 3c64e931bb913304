import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { clientAddress, parseTrustedProxies, type TrustedProxies } from './client-address.ts'

const trust = (text: string) => parseTrustedProxies(text) as TrustedProxies
const address = (trusted: string, peer: string, forwarded?: string) =>
  clientAddress(
    {
      socket: { remoteAddress: peer },
      headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
    },
    trust(trusted),
  )

describe('the address of a client', () => {
  test.each([
    ['nobody is trusted', 'false', '10.0.0.1', '203.0.113.7', '10.0.0.1'],
    ['zero hops are nobody', '0', '10.0.0.1', '203.0.113.7', '10.0.0.1'],
    ['one hop: what the peer appended', '1', '10.0.0.1', '198.51.100.1, 203.0.113.7', '203.0.113.7'],
    ['two hops', '2', '10.0.0.1', '198.51.100.1, 203.0.113.7', '198.51.100.1'],
    ['more hops than entries', '5', '10.0.0.1', '203.0.113.7', '203.0.113.7'],
    ['no header', '1', '10.0.0.1', undefined, '10.0.0.1'],
    ['a peer within the networks', '10.0.0.0/8', '10.0.0.1', '198.51.100.1, 203.0.113.7', '203.0.113.7'],
    ['a chain of trusted proxies', '10.0.0.0/8', '10.0.0.1', '203.0.113.7, 10.9.9.9', '203.0.113.7'],
    ['a peer outside the networks', '10.0.0.0/8', '192.0.2.1', '203.0.113.7', '192.0.2.1'],
    ['one address', '192.0.2.1', '192.0.2.1', '203.0.113.7', '203.0.113.7'],
    ['IPv6', 'fd00::/8', 'fd00::1', '2001:DB8::7', '2001:db8::7'],
    ['IPv4 in IPv6', '10.0.0.0/8', '::ffff:10.0.0.1', '::ffff:203.0.113.7', '203.0.113.7'],
    ['ports', '1', '10.0.0.1', '203.0.113.7:4711', '203.0.113.7'],
    ['ports of IPv6', '1', '10.0.0.1', '[2001:db8::7]:4711', '2001:db8::7'],
    ['a name is none', '1', '10.0.0.1', 'unknown', '10.0.0.1'],
    ['nor is a forged name behind a good one', '2', '10.0.0.1', '<script>, 203.0.113.7', '203.0.113.7'],
    ['an empty entry ends the chain', '2', '10.0.0.1', '203.0.113.7,', '10.0.0.1'],
  ])('%s', (_name, trusted, peer, forwarded, expected) => {
    expect(address(trusted, peer, forwarded)).toBe(expected)
  })

  test('is always an address, whatever the header', () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom('1', '3', '127.0.0.0/8'), (header, trusted) => {
        expect(address(trusted, '127.0.0.1', header)).toMatch(/^[0-9a-f.:]+$/)
      }),
    )
  })
})

test.each([
  'true',
  '17',
  '-1',
  '1.5',
  '10.0.0.0/33',
  '10.0.0.0/8/8',
  '10.0.0',
  'localhost',
  ',',
  '10.0.0.1,',
  '::/129',
])('%s names no proxies', (text) => {
  expect(parseTrustedProxies(text)).toBeUndefined()
})
