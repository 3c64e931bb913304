import { useState } from 'preact/hooks'
import type { PublishChannel, Published, PublishRequest } from '../../../src/api.ts'
import { request } from '../api.ts'
import { parseJson, prettyJson } from '../parts/json.ts'
import { Outcome } from '../parts/outcome.tsx'
import { useRequest } from '../parts/use-request.ts'
import { ValueInput } from '../parts/value-input.tsx'
import { isOperator } from '../session/session.ts'
import { payloadErrors } from './payload-check.ts'
import { PayloadFields } from './payload-fields.tsx'

export function PublishForm({ channel }: { channel: PublishChannel }) {
  const [params, setParams] = useState<Readonly<Record<string, string>>>(channel.example_params)
  const [headers, setHeaders] = useState<Readonly<Record<string, string>>>({})
  const [text, setText] = useState(() => prettyJson(channel.example))
  const [state, publish] = useRequest((body: PublishRequest) =>
    request<Published>('POST', '/api/publish', body),
  )

  const schema = schemaOf(channel, params)
  const parsed = parseJson(text)
  const errors = parsed.ok ? payloadErrors(schema, parsed.value) : [parsed.reason]
  const setParam = (name: string, value: string) => {
    setParams({ ...params, [name]: value })
    if (parsed.ok) setText(withId(text, parsed.value, name, value))
  }

  function submit(event: SubmitEvent): void {
    event.preventDefault()
    if (!parsed.ok || errors.length > 0) return
    const given = Object.entries(headers).filter(([, value]) => value !== '')
    void publish({
      channel: channel.id,
      params,
      payload: parsed.value,
      ...(given.length > 0 && { headers: Object.fromEntries(given) }),
    })
  }

  return (
    <form class="publish" onSubmit={submit}>
      <div class="columns">
        <div>
          {channel.params.map((name) => (
            <label key={name}>
              {name} <small>in the subject</small>
              <ParamInput channel={channel} name={name} value={params[name] ?? ''} onValue={setParam} />
            </label>
          ))}
          {channel.headers.map(({ name, summary, values }) => (
            <label key={name}>
              {name} <small>{summary}</small>
              <ValueInput
                kind={values ? { type: 'choice', values } : { type: 'text' }}
                text={headers[name] ?? ''}
                onText={(value) => setHeaders({ ...headers, [name]: value })}
              />
            </label>
          ))}
          <PayloadFields
            schema={schema}
            payload={parsed.ok ? parsed.value : undefined}
            onPayload={(payload) => setText(prettyJson(payload))}
          />
        </div>
        <label>
          Payload <small>JSON</small>
          <textarea
            name="payload"
            rows={14}
            spellcheck={false}
            autocomplete="off"
            value={text}
            aria-invalid={errors.length > 0}
            aria-describedby="payload-errors"
            onInput={({ currentTarget }) => setText(currentTarget.value)}
          />
        </label>
      </div>
      <ul id="payload-errors" class="errors" aria-live="polite">
        {errors.map((error) => (
          <li key={error}>{error}</li>
        ))}
      </ul>
      {isOperator() ? (
        <button type="submit" disabled={errors.length > 0 || state.type === 'busy'}>
          {channel.kind === 'request' ? 'Send request' : 'Publish'}
        </button>
      ) : (
        <p class="hint">A viewer may not publish.</p>
      )}
      <Outcome state={state}>{(published) => <Result published={published} />}</Outcome>
    </form>
  )
}

function Result({ published: { subject, sequence, answer } }: { published: Published }) {
  return (
    <>
      <p class="success" data-testid="published">
        Published on <code>{subject}</code>
        {sequence !== undefined && <>, stored as {sequence}</>}
      </p>
      {answer !== undefined && <pre>{prettyJson(answer)}</pre>}
    </>
  )
}

interface ParamInputProps {
  channel: PublishChannel
  name: string
  value: string
  onValue: (name: string, value: string) => void
}

function ParamInput({ channel: { variants }, name, value, onValue }: ParamInputProps) {
  if (variants?.param === name)
    return (
      <select
        name={`param-${name}`}
        value={value}
        onChange={({ currentTarget }) => onValue(name, currentTarget.value)}
      >
        {Object.keys(variants.schemas).map((each) => (
          <option key={each}>{each}</option>
        ))}
      </select>
    )
  return (
    <input
      name={`param-${name}`}
      required
      value={value}
      autocomplete="off"
      spellcheck={false}
      onInput={({ currentTarget }) => onValue(name, currentTarget.value)}
    />
  )
}

function schemaOf({ schema, variants }: PublishChannel, params: Readonly<Record<string, string>>): object {
  return variants?.schemas[params[variants.param] ?? ''] ?? schema
}

/** An id that stands in the subject and in the payload under one name is the same in both. */
function withId(text: string, payload: unknown, name: string, value: string): string {
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload)) return text
  const before: unknown = (payload as Record<string, unknown>)[name]
  if (typeof before === 'string') return prettyJson({ ...payload, [name]: value })
  if (typeof before === 'number' && /^-?\d{1,15}$/.test(value))
    return prettyJson({ ...payload, [name]: Number(value) })
  return text
}
