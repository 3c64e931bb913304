import type { ComponentChildren } from 'preact'

interface QueryFormProps {
  label: string
  placeholder: string
  busy: boolean
  onQuery: (value: string) => void
  children?: ComponentChildren
}

/** One id to look up by. */
export function QueryForm({ label, placeholder, busy, onQuery, children }: QueryFormProps) {
  function submit(event: SubmitEvent): void {
    event.preventDefault()
    const value = String(new FormData(event.currentTarget as HTMLFormElement).get('id') ?? '').trim()
    if (value !== '') onQuery(value)
  }
  return (
    <form class="query" onSubmit={submit}>
      {children}
      <label>
        {label}
        <input
          name="id"
          required
          maxLength={1024}
          placeholder={placeholder}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
        />
      </label>
      <button type="submit" disabled={busy}>
        Look up
      </button>
    </form>
  )
}
