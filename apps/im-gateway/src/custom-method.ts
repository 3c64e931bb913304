/** Path segments; a dot would be taken for another segment on NATS. */
const METHOD = /^\/?[^/.\p{Cc}\p{Cs}\s]+(\/[^/.\p{Cc}\p{Cs}\s]+)*$/u

/**
 * A CustomRequest's method, like an HTTP path, as the `method` of its subject: `/v1/user/getUserSettings` is
 * `v1.user.getUserSettings`. Undefined where no request can be sent there.
 */
export function parseCustomMethod(method: string, bytesMax: number): string | undefined {
  if (Buffer.byteLength(method) > bytesMax || !METHOD.test(method)) return undefined
  return method.replace(/^\//, '').replaceAll('/', '.')
}
