import { useState } from 'preact/hooks'
import type { SettingChange, SettingChanged, SettingState } from '../../../src/api.ts'
import { messageOf, request } from '../api.ts'
import { formatNumber } from '../format.ts'
import { parseJson } from '../parts/json.ts'
import { textOf, ValueInput } from '../parts/value-input.tsx'
import { valueKind } from '../parts/value-schema.ts'
import { isOperator } from '../session/session.ts'

interface SettingFormProps {
  setting: SettingState
  onChange: () => void
}

/** The stored value, to be changed or removed; a change that another has overtaken is refused (`revision`). */
export function SettingForm({ setting, onChange }: SettingFormProps) {
  const kind = valueKind(setting.schema)
  const stored = textOf(setting.value, kind)
  const [text, setText] = useState(stored)
  const [error, setError] = useState<string>()
  const [busy, setBusy] = useState(false)
  if (!isOperator()) return <span class="id">{stored || 'not set'}</span>

  async function change(value: unknown): Promise<void> {
    const { key, revision } = setting
    setBusy(true)
    setError(undefined)
    try {
      const body: SettingChange = { key, value, revision }
      await request<SettingChanged>('PUT', '/api/settings', body)
      onChange()
    } catch (failure) {
      setError(messageOf(failure))
    } finally {
      setBusy(false)
    }
  }

  function submit(event: SubmitEvent): void {
    event.preventDefault()
    if (kind.type === 'choice' || kind.type === 'text') return void change(text)
    const parsed = parseJson(text)
    if (parsed.ok) void change(parsed.value)
    else setError(parsed.reason)
  }

  return (
    <form class="setting" onSubmit={submit}>
      <ValueInput label={setting.key} kind={kind} text={text} onText={setText} none="not set" />
      <button type="submit" disabled={busy || text === '' || text === stored}>
        Set
      </button>
      {setting.value !== undefined && (
        <button
          type="button"
          class="quiet"
          disabled={busy}
          aria-label={`Remove ${setting.key}`}
          onClick={() => void change(null)}
        >
          Remove
        </button>
      )}
      {kind.type === 'number' && kind.maximum !== undefined && (
        <small>
          {formatNumber(kind.minimum)} to {formatNumber(kind.maximum)}
        </small>
      )}
      {error && (
        <p class="alert" role="alert">
          {error}
        </p>
      )}
    </form>
  )
}
