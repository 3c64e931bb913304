import { useState } from 'preact/hooks'
import type { Room } from '../../../src/api.ts'
import { request, withQuery } from '../api.ts'
import { formatNumber } from '../format.ts'
import { prettyJson } from '../parts/json.ts'
import { Outcome } from '../parts/outcome.tsx'
import { useRequest } from '../parts/use-request.ts'
import { QueryForm } from './query-form.tsx'

export function RoomLookUp() {
  const [name, setName] = useState('')
  const [state, ask] = useRequest((channel: string, next?: string) =>
    request<Room>('GET', withQuery('/api/rooms', { channel_name: channel, next })),
  )
  const query = (channel: string) => {
    setName(channel)
    void ask(channel)
  }
  return (
    <div class="card">
      <QueryForm label="Room" placeholder="lobby" busy={state.type === 'busy'} onQuery={query} />
      <Outcome state={state} idle="Shows who is in a voice room, and its call.">
        {(room) => <Roster room={room} onMore={(next) => void ask(name, next)} />}
      </Outcome>
    </div>
  )
}

function Roster({ room, onMore }: { room: Room; onMore: (next: string) => void }) {
  const { call } = room as { call?: unknown }
  return (
    <>
      <h3>
        {room.channel_name}:{' '}
        {room.member_count === 1 ? '1 member' : `${formatNumber(room.member_count)} members`}
      </h3>
      {call !== undefined && (
        <dl class="facts">
          <dt>Call</dt>
          <dd>{call === null ? 'none' : <code>{JSON.stringify(call)}</code>}</dd>
        </dl>
      )}
      {room.members.length > 0 && (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">User</th>
                <th scope="col">Online</th>
                <th scope="col">Seat</th>
              </tr>
            </thead>
            <tbody>
              {room.members.map(({ user_id, online, room_seat }) => (
                <tr key={user_id}>
                  <td class="id">{user_id}</td>
                  <td>
                    <span class={`state ${online ? 'good' : 'warn'}`}>{online ? 'online' : 'offline'}</span>
                  </td>
                  <td>{room_seat === null ? '–' : <code>{prettyJson(room_seat)}</code>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <NextPage next={room.next} onMore={onMore} />
    </>
  )
}

export function NextPage({ next, onMore }: { next: string | undefined; onMore: (next: string) => void }) {
  if (next === undefined) return null
  return (
    <button type="button" class="quiet" onClick={() => onMore(next)}>
      Next page
    </button>
  )
}
