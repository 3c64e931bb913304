import { DEVELOPMENT_SECRET, signToken } from '@carillon/auth'
import type { Overrides } from '@carillon/service'
import { type NatsServer, testEnvironment, WebSocketClient } from '@carillon/testkit'
import { create, readConfig } from '../src/server.ts'

export type QuoteInteract = ReturnType<typeof create>

/** Boots the real service on free ports. */
export async function bootQuote(
  nats: Pick<NatsServer, 'url'>,
  environment: Record<string, string> = {},
  overrides: Overrides = {},
): Promise<QuoteInteract> {
  const service = create(
    readConfig({
      ...testEnvironment('QUOTE', nats),
      ...environment,
    }),
    overrides,
  )
  await service.start()
  return service
}

/** A token with the claims of the documented one. */
export function quoteToken(claims: object = {}): Promise<string> {
  return signToken(
    DEVELOPMENT_SECRET,
    {
      user_id: '4da1e9d8-1e1e-44c3-916c-5818d2be4bda',
      player_id: 'ckex_test_player1',
      merchant_code: 'backoffice-d9e32',
      issued_at: '2023-02-10T08:57:29.911707415Z',
      expires_at: '2130-02-10T00:00:00.000000634Z',
      language: 'en',
      ...claims,
    },
    { alg: 'HS256', typ: 'JWT' },
  )
}

export async function connectQuote(
  service: QuoteInteract,
  options: { readonly prefix?: string; readonly claims?: object; readonly inHeader?: boolean } = {},
): Promise<WebSocketClient> {
  const { prefix = '', claims, inHeader = false } = options
  const token = await quoteToken(claims)
  const base = `ws://127.0.0.1:${service.listener.port}${prefix}/quote/do-not-look-back`
  return inHeader
    ? WebSocketClient.connect(base, { headers: { authorization: `Bearer ${token}` } })
    : WebSocketClient.connect(`${base}?authorization=bearer%20${token}`)
}

/** Everything the client sent has been looked at, and everything NATS had is here. */
export async function settled(service: QuoteInteract, client: WebSocketClient): Promise<void> {
  const before = client.frames.length
  client.send('?')
  while (!client.frames.slice(before).some((frame) => frame.includes('must be a JSON object'))) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  client.frames.splice(
    client.frames.findIndex((frame, i) => i >= before && frame.includes('JSON object')),
    1,
  )
  await service.bus.roundTrip()
}
