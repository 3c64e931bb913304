import { useEffect } from 'preact/hooks'
import type { SettingState, Settings } from '../../../src/api.ts'
import { request } from '../api.ts'
import { Outcome } from '../parts/outcome.tsx'
import { useRequest } from '../parts/use-request.ts'
import { SettingForm } from './setting-form.tsx'

export function SettingsView() {
  const [state, load] = useRequest(() => request<Settings>('GET', '/api/settings'))
  useEffect(() => void load(), [])
  return (
    <section class="card" aria-labelledby="settings-heading">
      <div class="bar">
        <h2 id="settings-heading">Live settings</h2>
        <button type="button" class="quiet" onClick={() => void load()}>
          Read again
        </button>
      </div>
      <p class="hint">A change takes effect at once on every instance, without a restart.</p>
      <Outcome state={state}>
        {({ settings }) => <SettingsTable settings={settings} onChange={() => void load()} />}
      </Outcome>
    </section>
  )
}

interface SettingsTableProps {
  settings: readonly SettingState[]
  onChange: () => void
}

function SettingsTable({ settings, onChange }: SettingsTableProps) {
  if (settings.length === 0) return <p class="empty">No service has live settings.</p>
  return (
    <div class="scroll">
      <table class="settings">
        <thead>
          <tr>
            <th scope="col">Setting</th>
            <th scope="col">In effect</th>
            <th scope="col">Stored</th>
          </tr>
        </thead>
        <tbody>
          {settings.map((setting) => (
            <tr key={setting.key} data-setting={setting.key}>
              <td>
                <span class="id wide">{setting.key}</span>
                <small>{setting.summary}</small>
              </td>
              <td>
                <Effective setting={setting} />
              </td>
              <td>
                <SettingForm key={setting.revision} setting={setting} onChange={onChange} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

/** One value as a rule; several while a change is on its way, or where instances are configured differently. */
function Effective({ setting: { effective } }: { setting: SettingState }) {
  if (effective.length === 0) return <span class="none">–</span>
  if (effective.length === 1) return <span class="id">{printed(effective[0]?.value)}</span>
  return (
    <ul class="plain">
      {effective.map(({ value, instances }) => (
        <li key={printed(value)}>
          <span class="id">{printed(value)}</span> <small>on {instances}</small>
        </li>
      ))}
    </ul>
  )
}

const printed = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))
