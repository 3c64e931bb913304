import { useState } from 'preact/hooks'
import { parseJson } from '../parts/json.ts'
import { textOf, ValueInput } from '../parts/value-input.tsx'
import { type Field, fieldsOf } from '../parts/value-schema.ts'

interface PayloadFieldsProps {
  schema: object
  /** Undefined while what is typed is no JSON: there is nothing to change a field of. */
  payload: unknown
  onPayload: (payload: object) => void
}

/** One input for each field that the schema names; the JSON beside shows the whole. */
export function PayloadFields({ schema, payload, onPayload }: PayloadFieldsProps) {
  const fields = fieldsOf(schema)
  if (fields === undefined) return null
  const object =
    typeof payload === 'object' && payload !== null && !Array.isArray(payload)
      ? (payload as Readonly<Record<string, unknown>>)
      : undefined

  function change({ name, required }: Field, value: unknown): void {
    if (object === undefined) return
    const { [name]: _before, ...others } = object
    // In the place it had.
    const next = name in object ? { ...object, [name]: value } : { ...others, [name]: value }
    onPayload(value === undefined && !required ? others : next)
  }

  return (
    <>
      {fields.map((field) => (
        <FieldInput
          key={field.name}
          field={field}
          value={object?.[field.name]}
          disabled={object === undefined}
          onValue={(value) => change(field, value)}
        />
      ))}
    </>
  )
}

interface FieldInputProps {
  field: Field
  value: unknown
  disabled: boolean
  onValue: (value: unknown) => void
}

function FieldInput({ field, value, disabled, onValue }: FieldInputProps) {
  const { name, kind, required, description } = field
  // JSON that is being typed is none until it is complete.
  const [draft, setDraft] = useState<string>()
  const typed = (text: string) => {
    if (text === '' && !(kind.type === 'text' && required)) return onValue(undefined)
    if (kind.type === 'text' || kind.type === 'choice') return onValue(text)
    const parsed = parseJson(text)
    setDraft(parsed.ok ? undefined : text)
    if (parsed.ok) onValue(parsed.value)
  }
  return (
    <label>
      {name} {!required && <small>optional</small>} {description && <small>{description}</small>}
      <ValueInput kind={kind} text={draft ?? textOf(value, kind)} disabled={disabled} onText={typed} />
    </label>
  )
}
