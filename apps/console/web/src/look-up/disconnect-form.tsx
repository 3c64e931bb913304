import { useRef, useState } from 'preact/hooks'
import type { DisconnectRequest, DisconnectResult } from '../../../src/api.ts'
import { messageOf, request } from '../api.ts'

interface DisconnectFormProps {
  user: string
  services: readonly string[]
  onDone: () => void
}

/** Asks before it acts: the dialog keeps the focus and gives it back. */
export function DisconnectForm({ user, services, onDone }: DisconnectFormProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const [error, setError] = useState<string>()
  const [busy, setBusy] = useState(false)
  const [closed, setClosed] = useState<number>()

  async function submit(event: SubmitEvent): Promise<void> {
    event.preventDefault()
    const form = new FormData(event.currentTarget as HTMLFormElement)
    const text = (name: string) => String(form.get(name) ?? '').trim()
    const body: DisconnectRequest = {
      user_id: user,
      ...(text('service') && { service: text('service') }),
      ...(text('code') && { code: Number(text('code')) }),
      ...(text('reason') && { reason: text('reason') }),
    }
    setBusy(true)
    setError(undefined)
    try {
      const result = await request<DisconnectResult>('POST', '/api/disconnect', body)
      setClosed(result.closed)
      dialog.current?.close()
      onDone()
    } catch (failure) {
      setError(messageOf(failure))
    } finally {
      setBusy(false)
    }
  }

  return (
    <>
      {closed !== undefined && <span class="hint">{closed} closed</span>}
      <button type="button" class="danger" onClick={() => dialog.current?.showModal()}>
        Disconnect …
      </button>
      <dialog ref={dialog} aria-labelledby="disconnect-heading">
        <form onSubmit={submit}>
          <h3 id="disconnect-heading">Disconnect {user}</h3>
          <label>
            Service
            <select name="service">
              <option value="">all services</option>
              {services.map((service) => (
                <option key={service} value={service}>
                  {service}
                </option>
              ))}
            </select>
          </label>
          <label>
            Close code
            <input name="code" type="number" min={3000} max={4999} placeholder="the service’s own" />
          </label>
          <label>
            Reason
            <input name="reason" maxLength={123} placeholder="the service’s own" />
          </label>
          {error && (
            <p class="alert" role="alert">
              {error}
            </p>
          )}
          <div class="buttons">
            <button type="button" class="quiet" onClick={() => dialog.current?.close()}>
              Cancel
            </button>
            <button type="submit" class="danger" disabled={busy}>
              Disconnect
            </button>
          </div>
        </form>
      </dialog>
    </>
  )
}
