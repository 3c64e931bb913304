import type { TryCredentials, TryRequest } from '../../../src/api.ts'
import { request } from '../api.ts'

type Service = TryRequest['service']
export type CredentialsOf<S extends Service> = TryCredentials & { service: S }

/**
 * Asks for a test user's credentials, anew for each connection: the client asks for its endpoint and its token at the
 * same time, and both are parts of one answer.
 */
export function credentialsFor<S extends Service>(service: S, user: string): () => Promise<CredentialsOf<S>> {
  let asked: Promise<CredentialsOf<S>> | undefined
  return () => {
    if (asked === undefined) {
      asked = request<CredentialsOf<S>>('POST', '/api/try', { service, user_id: user } satisfies TryRequest)
      const forget = () => {
        asked = undefined
      }
      asked.then(forget, forget)
    }
    return asked
  }
}
