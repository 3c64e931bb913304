import type { IncomingMessage } from 'node:http'
import proxyAddress from '@fastify/proxy-addr'

/** Proxies whose `X-Forwarded-For` is believed: all of them, so many hops, or those of these networks. */
export type TrustProxy = boolean | number | string

/** Tells the address of the client that a request comes from. */
export function createRemoteAddress(trust: TrustProxy): (request: IncomingMessage) => string {
  const isTrusted = compile(trust)
  return (request) => proxyAddress(request, isTrusted) ?? ''
}

function compile(trust: TrustProxy): (address: string, hop: number) => boolean {
  if (typeof trust === 'boolean') return () => trust
  if (typeof trust === 'number') return (_address, hop) => hop < trust
  return proxyAddress.compile(trust.split(',').map((network) => network.trim()))
}
