import type { ValueKind } from './value-schema.ts'

interface ValueInputProps {
  id?: string
  /** For those who do not see a label beside it. */
  label?: string
  kind: ValueKind
  /** As it is typed; empty for no value. */
  text: string
  onText: (text: string) => void
  none?: string
  disabled?: boolean
}

/** An input for a value of a schema. */
export function ValueInput({ id, label, kind, text, onText, none = '', disabled = false }: ValueInputProps) {
  const common = { id, 'aria-label': label, disabled }
  const input = { ...common, value: text, placeholder: none, spellcheck: false, autocomplete: 'off' as const }
  switch (kind.type) {
    case 'number':
      return (
        <input
          {...input}
          type="number"
          step={kind.integer ? 1 : 'any'}
          min={kind.minimum}
          max={kind.maximum}
          onInput={({ currentTarget }) => onText(currentTarget.value)}
        />
      )
    case 'boolean':
    case 'choice':
      return (
        <select {...common} value={text} onChange={({ currentTarget }) => onText(currentTarget.value)}>
          <option value="">{none || '–'}</option>
          {(kind.type === 'boolean' ? ['true', 'false'] : kind.values).map((value) => (
            <option key={value}>{value}</option>
          ))}
        </select>
      )
    case 'text':
    case 'json':
      return <input {...input} onInput={({ currentTarget }) => onText(currentTarget.value)} />
    default:
      return kind satisfies never
  }
}

/** A value as its input shows it. */
export function textOf(value: unknown, kind: ValueKind): string {
  if (value === undefined) return ''
  return (kind.type === 'text' || kind.type === 'choice') && typeof value === 'string'
    ? value
    : JSON.stringify(value)
}
