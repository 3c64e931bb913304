import { signal } from '@preact/signals'
import type { SessionState, SignedIn } from '../../../src/api.ts'
import { messageOf, request } from '../api.ts'

export type Session =
  | { readonly type: 'unknown'; readonly error?: string }
  | { readonly type: 'open'; readonly signedIn: SignedIn }
  /** `ended`: there was one, which has expired or was ended. */
  | { readonly type: 'none'; readonly ended: boolean }

export const session = signal<Session>({ type: 'unknown' })

/** Asks who the page is for. In development a session is opened without being asked for. */
export async function loadSession(): Promise<void> {
  try {
    const state = await request<SessionState>('GET', '/api/session')
    if (state.signed_in) session.value = { type: 'open', signedIn: state }
    else if (state.sign_in === 'development') await signIn(undefined)
    else session.value = { type: 'none', ended: session.value.type === 'open' }
  } catch (error) {
    if (session.value.type !== 'open') session.value = { type: 'unknown', error: messageOf(error) }
  }
}

/** @throws {ApiError} where the token is refused. */
export async function signIn(token: string | undefined): Promise<void> {
  const signedIn = await request<SignedIn>('POST', '/api/session', token === undefined ? {} : { token })
  session.value = { type: 'open', signedIn }
}

/** @throws {ApiError} */
export async function signOut(): Promise<void> {
  await request('DELETE', '/api/session')
  session.value = { type: 'none', ended: false }
}

/** The server knows no session (any more). */
export function sessionEnded(): void {
  if (session.value.type === 'open') session.value = { type: 'none', ended: true }
}

export const isOperator = (): boolean =>
  session.value.type === 'open' && session.value.signedIn.role === 'operator'
