import type { Device } from '../../../src/api.ts'
import { request, withQuery } from '../api.ts'
import { formatTime } from '../format.ts'
import { Outcome } from '../parts/outcome.tsx'
import { useRequest } from '../parts/use-request.ts'
import { QueryForm } from './query-form.tsx'

export function DeviceLookUp() {
  const [state, ask] = useRequest((serialNo: string) =>
    request<Device>('GET', withQuery('/api/devices', { serial_no: serialNo })),
  )
  return (
    <div class="card">
      <QueryForm
        label="Serial number"
        placeholder="AC4178234415"
        busy={state.type === 'busy'}
        onQuery={(serialNo) => void ask(serialNo)}
      />
      <Outcome
        state={state}
        idle="Shows a device’s registration, its connection, and the events it has yet to take."
      >
        {(device) => <DeviceFacts device={device} />}
      </Outcome>
    </div>
  )
}

function DeviceFacts({ device }: { device: Device }) {
  const { pending = [] } = device
  return (
    <>
      <h3>{device.serial_no}</h3>
      <dl class="facts">
        <dt>Registered</dt>
        <dd>{device.registered ? 'yes' : 'no'}</dd>
        <dt>Connection</dt>
        <dd>
          <span class={`state ${device.online ? 'good' : 'warn'}`}>
            {device.online ? 'online' : 'offline'}
          </span>
          {device.since !== undefined && <> since {formatTime(device.since)}</>}
          {device.instance_id !== undefined && <> on {device.instance_id}</>}
        </dd>
        <dt>Class, school</dt>
        <dd>
          {device.class_id ?? '–'}, {device.school_id ?? '–'}
        </dd>
        <dt>Students</dt>
        <dd>{device.student_ids?.join(', ') || '–'}</dd>
      </dl>
      <h4>Pending events</h4>
      {pending.length === 0 ? (
        <p class="empty">Nothing waits for it.</p>
      ) : (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">Event</th>
                <th scope="col">Published</th>
                <th scope="col">Expires</th>
              </tr>
            </thead>
            <tbody>
              {pending.map(({ event, published_at, expires_at }) => (
                <tr key={event}>
                  <td class="id">{event}</td>
                  <td>{formatTime(published_at)}</td>
                  <td>{formatTime(expires_at)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  )
}
