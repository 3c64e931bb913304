import { useEffect } from 'preact/hooks'
import type { Audit, AuditEntry } from '../../../src/api.ts'
import { request, withQuery } from '../api.ts'
import { formatTime } from '../format.ts'
import { Outcome } from '../parts/outcome.tsx'
import { useRequest } from '../parts/use-request.ts'

const PAGE = 50

export function AuditView() {
  const [state, load] = useRequest((before?: number) =>
    request<Audit>('GET', withQuery('/api/audit', { before, limit: PAGE })),
  )
  useEffect(() => void load(), [])
  return (
    <section class="card" aria-labelledby="audit-heading">
      <div class="bar">
        <h2 id="audit-heading">Audit log</h2>
        <button type="button" class="quiet" onClick={() => void load()}>
          Newest
        </button>
      </div>
      <p class="hint">Everything that was done here, before and after it was done; newest first.</p>
      <Outcome state={state}>
        {({ entries, before }) => (
          <>
            <AuditTable entries={entries} />
            {before !== undefined && (
              <button type="button" class="quiet" onClick={() => void load(before)}>
                Older
              </button>
            )}
          </>
        )}
      </Outcome>
    </section>
  )
}

const levels = { begun: 'none', done: 'good', failed: 'bad', refused: 'warn' } as const

function AuditTable({ entries }: { entries: readonly AuditEntry[] }) {
  if (entries.length === 0) return <p class="empty">Nothing was done yet.</p>
  return (
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Who</th>
            <th scope="col">From</th>
            <th scope="col">What</th>
            <th scope="col">Result</th>
            <th scope="col">To what</th>
          </tr>
        </thead>
        <tbody>
          {entries.map((entry) => (
            <tr key={entry.sequence} data-act={entry.act}>
              <td class="time">{formatTime(entry.at)}</td>
              <td class="id">
                {entry.user} <small>{entry.role}</small>
              </td>
              <td class="id">{entry.remote_address}</td>
              <td>{entry.act.replace('_', ' ')}</td>
              <td>
                <span class={`state ${levels[entry.result] ?? 'none'}`}>{entry.result}</span>
              </td>
              <td class="target">
                <Target entry={entry} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Target({ entry: { target, detail } }: { entry: AuditEntry }) {
  return (
    <>
      {Object.entries(target).map(([name, value]) => (
        <span key={name} class="pair">
          <small>{name}</small> <code>{typeof value === 'string' ? value : JSON.stringify(value)}</code>
        </span>
      ))}
      {detail && <span class="pair">{detail}</span>}
    </>
  )
}
