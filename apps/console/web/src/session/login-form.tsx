import { useState } from 'preact/hooks'
import { messageOf } from '../api.ts'
import { signIn } from './session.ts'

/** The token goes into the body of one request and is not kept. */
export function LoginForm({ ended }: { ended: boolean }) {
  const [error, setError] = useState<string>()
  const [busy, setBusy] = useState(false)

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault()
    const form = event.currentTarget as HTMLFormElement
    const token = String(new FormData(form).get('token') ?? '').trim()
    setBusy(true)
    setError(undefined)
    try {
      await signIn(token)
    } catch (failure) {
      form.reset()
      setError(messageOf(failure))
    } finally {
      setBusy(false)
    }
  }

  return (
    <form class="card login" method="post" onSubmit={submit}>
      <h2>{ended ? 'Your session has ended' : 'Sign in'}</h2>
      <label>
        Token
        <input
          type="password"
          name="token"
          required
          autocomplete="off"
          spellcheck={false}
          maxLength={8192}
          // biome-ignore lint/a11y/noAutofocus: the form is all there is on the page
          autoFocus
        />
      </label>
      <p class="hint">A JSON Web Token of your issuer, with the role viewer or operator.</p>
      {error && (
        <p class="alert" role="alert">
          {error}
        </p>
      )}
      <button type="submit" disabled={busy}>
        Sign in
      </button>
    </form>
  )
}
