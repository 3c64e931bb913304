import type { ConnectionState } from '@carillon/client'
import { useEffect, useRef, useState } from 'preact/hooks'
import { messageOf } from '../api.ts'
import { formatBytes, formatClock } from '../format.ts'
import { ValueInput } from '../parts/value-input.tsx'
import { addEntry, type LogEntry } from './frame-log.ts'
import type { TryClient, TryProtocol, Values, Watcher } from './protocol.ts'

export function TryPane({ protocol }: { protocol: TryProtocol }) {
  const client = useRef<TryClient>(undefined)
  /** Counts connects and closes: what an earlier one brings after that is closed at once. */
  const attempt = useRef(0)
  const [user, setUser] = useState(protocol.exampleUser)
  const [state, setState] = useState<ConnectionState['type']>('idle')
  const [log, setLog] = useState<readonly LogEntry[]>([])
  const [values, setValues] = useState<Values>(() =>
    Object.fromEntries(protocol.fields.map(({ name, example }) => [name, example])),
  )
  // The connection does not outlive the pane.
  useEffect(() => () => close(), [])

  const add = (kind: LogEntry['kind'], data: string | Uint8Array) =>
    setLog((log) => addEntry(log, kind, data))
  const watcher: Watcher = {
    state(next) {
      setState(next.type)
      add('state', describe(next))
    },
    error: ({ code, message }) => add('error', `${code}: ${message}`),
    frame: ({ direction, data }) => add(direction, data),
    note: (text) => add('note', text),
  }

  async function connect(event: SubmitEvent): Promise<void> {
    event.preventDefault()
    close()
    setState('connecting')
    const current = attempt.current
    try {
      const opened = await protocol.open(user, watcher)
      if (attempt.current === current) client.current = opened
      else opened.close()
    } catch (error) {
      if (attempt.current !== current) return
      setState('closed')
      add('error', messageOf(error))
    }
  }

  function close(): void {
    attempt.current += 1
    client.current?.close()
    client.current = undefined
    setState('closed')
  }

  async function act(name: string): Promise<void> {
    try {
      await client.current?.actions[name]?.(values)
    } catch (error) {
      add('error', messageOf(error))
    }
  }

  const connected = state !== 'idle' && state !== 'closed'
  return (
    <>
      <form class="query" onSubmit={connect}>
        <label>
          {protocol.userLabel}
          <input
            name="user"
            required
            maxLength={128}
            value={user}
            disabled={connected}
            autocomplete="off"
            spellcheck={false}
            onInput={({ currentTarget }) => setUser(currentTarget.value)}
          />
        </label>
        {connected ? (
          <button key="close" type="button" onClick={close}>
            Close
          </button>
        ) : (
          <button key="connect" type="submit">
            Connect
          </button>
        )}
        <span class={`dot ${state === 'open' ? 'good' : connected ? 'waiting' : 'none'}`} role="status">
          {stateNames[state]}
        </span>
      </form>
      <form class="query" onSubmit={(event) => event.preventDefault()}>
        {protocol.fields.map(({ name, kind }) => (
          <label key={name}>
            {name}
            <ValueInput
              kind={kind}
              text={values[name] ?? ''}
              onText={(text) => setValues({ ...values, [name]: text })}
            />
          </label>
        ))}
        {protocol.actions.map((name) => (
          <button
            key={name}
            type="button"
            class="quiet"
            disabled={state !== 'open'}
            onClick={() => void act(name)}
          >
            {name}
          </button>
        ))}
      </form>
      <FrameLog log={log} onClear={() => setLog([])} />
    </>
  )
}

const stateNames = {
  idle: 'not connected',
  connecting: 'connecting',
  open: 'connected',
  waiting: 'waiting to reconnect',
  closed: 'closed',
} as const

/** A close reason is whatever the server said: text. */
function describe(state: ConnectionState): string {
  const name = stateNames[state.type]
  return 'close' in state ? `${name}: ${state.close.code} ${state.close.reason}` : name
}

const signs = { in: '←', out: '→', note: '=', state: '·', error: '!' } as const
const names = { in: 'received', out: 'sent', note: 'note', state: 'state', error: 'error' } as const

function FrameLog({ log, onClear }: { log: readonly LogEntry[]; onClear: () => void }) {
  return (
    <>
      <div class="bar">
        <h3>Frames</h3>
        <button type="button" class="quiet" disabled={log.length === 0} onClick={onClear}>
          Clear
        </button>
      </div>
      {log.length === 0 && <p class="empty">Nothing yet. Newest frames come first.</p>}
      <ol class="frames" reversed aria-label="Frames, newest first">
        {log.map(({ number, at, kind, text, bytes }) => (
          <li key={number} class={kind}>
            <time>{formatClock(at)}</time>
            <span class="sign" role="img" aria-label={names[kind]}>
              {signs[kind]}
            </span>
            <code>{text}</code>
            {bytes !== undefined && <small>{formatBytes(bytes)}</small>}
          </li>
        ))}
      </ol>
    </>
  )
}
