import { useState } from 'preact/hooks'
import type { UserConnections } from '../../../src/api.ts'
import { request, withQuery } from '../api.ts'
import { formatAge, formatBytes, formatNumber, formatTime } from '../format.ts'
import { Outcome } from '../parts/outcome.tsx'
import { useRequest } from '../parts/use-request.ts'
import { isOperator } from '../session/session.ts'
import { DisconnectForm } from './disconnect-form.tsx'
import { QueryForm } from './query-form.tsx'
import { Unanswered } from './unanswered.tsx'

export function UserLookUp() {
  const [user, setUser] = useState('')
  const [state, ask] = useRequest((id: string) =>
    request<UserConnections>('GET', withQuery('/api/connections', { user_id: id })),
  )
  const query = (id: string) => {
    setUser(id)
    void ask(id)
  }
  return (
    <div class="card">
      <QueryForm label="User id" placeholder="3600" busy={state.type === 'busy'} onQuery={query} />
      <Outcome state={state} idle="Shows a user’s connections on every service.">
        {(answer) => <Connections answer={answer} onChange={() => void ask(user)} />}
      </Outcome>
    </div>
  )
}

function Connections({ answer, onChange }: { answer: UserConnections; onChange: () => void }) {
  const { user_id: user, services } = answer
  const rows = services.flatMap(({ service, instances }) =>
    instances.flatMap(({ instance_id: instance, connections }) =>
      connections.map((connection) => ({ service, instance, connection })),
    ),
  )
  const count = services
    .flatMap(({ instances }) => instances)
    .reduce((sum, instance) => sum + instance.count, 0)
  return (
    <>
      <div class="bar">
        <h3 data-testid="connection-count">
          {count === 1 ? '1 connection' : `${formatNumber(count)} connections`} of {user}
        </h3>
        {isOperator() && count > 0 && (
          <DisconnectForm
            user={user}
            services={services.filter(hasConnections).map(({ service }) => service)}
            onDone={onChange}
          />
        )}
      </div>
      <Unanswered instances={services.flatMap(({ unanswered }) => unanswered)} />
      {rows.length > 0 && (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">Service</th>
                <th scope="col">Address</th>
                <th scope="col">Device</th>
                <th scope="col" class="figure">
                  Age
                </th>
                <th scope="col" class="figure">
                  In
                </th>
                <th scope="col" class="figure">
                  Out
                </th>
                <th scope="col" class="figure">
                  Queued
                </th>
                <th scope="col">Subscriptions</th>
                <th scope="col">Instance</th>
              </tr>
            </thead>
            <tbody>
              {rows.map(({ service, instance, connection }) => (
                <tr key={`${instance} ${connection.id}`}>
                  <td data-nowrap>{service}</td>
                  <td class="id">{connection.remote_address}</td>
                  <td class="id">{connection.device_id ?? '–'}</td>
                  <td class="figure" title={formatTime(connection.opened_at)}>
                    {formatAge(Date.now() - connection.opened_at)}
                  </td>
                  <td class="figure">{formatBytes(connection.bytes_in)}</td>
                  <td class="figure">{formatBytes(connection.bytes_out)}</td>
                  <td class="figure">{formatBytes(connection.queued_bytes)}</td>
                  <td>
                    <Subscriptions
                      names={connection.subscriptions}
                      omitted={connection.subscriptions_omitted ?? 0}
                    />
                  </td>
                  <td class="id" title={instance}>
                    {instance}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  )
}

const hasConnections = ({ instances }: UserConnections['services'][number]) =>
  instances.some(({ count }) => count > 0)

const SHOWN = 3

function Subscriptions({ names, omitted }: { names: readonly string[]; omitted: number }) {
  const total = names.length + omitted
  if (total <= SHOWN) return <span class="id wide">{names.join(', ') || '–'}</span>
  return (
    <details>
      <summary>{formatNumber(total)}</summary>
      <ul class="names">
        {names.slice(0, 500).map((name) => (
          <li key={name}>{name}</li>
        ))}
        {total > 500 && <li>… and {formatNumber(total - Math.min(500, names.length))} more</li>}
      </ul>
    </details>
  )
}
