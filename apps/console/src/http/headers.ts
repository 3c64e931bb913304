/** Where the try-it pane connects: the services of this machine. A source may not be an IPv6 address. */
const LOCAL_ENDPOINTS = ['127.0.0.1', 'localhost'].flatMap((host) => [`ws://${host}:*`, `http://${host}:*`])

/** What browsers may do with what the console sends, whatever the answer. */
export function securityHeaders(options: {
  /** Reached by https alone. */
  readonly secure: boolean
  readonly tryIt: boolean
}): Readonly<Record<string, string>> {
  const connect = ["'self'", ...(options.tryIt ? LOCAL_ENDPOINTS : [])].join(' ')
  return {
    'content-security-policy': [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self' data:",
      "font-src 'self'",
      `connect-src ${connect}`,
      "form-action 'none'",
      "base-uri 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=()',
    ...(options.secure && { 'strict-transport-security': 'max-age=31536000' }),
  }
}
