import { DEVELOPMENT_SECRET, signToken } from '@carillon/auth'

/** A login token as the source systems issue them. */
export function loginToken(
  userId: string | number,
  claims: object = {},
  secret = DEVELOPMENT_SECRET,
): Promise<string> {
  const now = Date.now()
  return signToken(secret, {
    sub: String(userId),
    created: now,
    exp: Math.floor(now / 1_000) + 3_600,
    ...claims,
  })
}
