import { isIPv4 } from 'node:net'

/** Whether only this machine reaches it: `localhost`, `127.0.0.1`, `::1`, also as a URL has it, `[::1]`. */
export function isLoopback(host: string): boolean {
  return (
    host === 'localhost' || host === '::1' || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'))
  )
}

/**
 * Whether a request is for this console: its `Host` is that of the public URL, or without one a name of this machine
 * itself. A page that has its own name resolve to this machine's address gets no answer.
 */
export function isOwnHost(host: string | undefined, origin: string | undefined): boolean {
  const url = host === undefined ? undefined : URL.parse(`http://${host}`)
  if (!url || url.username || url.password || url.pathname !== '/' || url.search || url.hash) return false
  return origin === undefined ? isLoopback(url.hostname) : url.host === bareHost(origin)
}

/** Whether an `Origin` is the console's own page, for a request with this `Host`. */
export function isOwnOrigin(from: string, host: string | undefined, origin: string | undefined): boolean {
  return origin === undefined ? from === `http://${host}` : from === origin
}

/** As a browser sends it in `Host`: without the port that the scheme has by default. */
function bareHost(origin: string): string {
  return new URL(origin).host
}
