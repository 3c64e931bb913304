import { useEffect, useState } from 'preact/hooks'
import type { Channels, PublishChannel } from '../../../src/api.ts'
import { request } from '../api.ts'
import { Outcome } from '../parts/outcome.tsx'
import { useRequest } from '../parts/use-request.ts'
import { PublishForm } from './publish-form.tsx'

export function PublishView() {
  const [state, load] = useRequest(() => request<Channels>('GET', '/api/channels'))
  useEffect(() => void load(), [])
  return (
    <section class="card" aria-labelledby="publish-heading">
      <h2 id="publish-heading">Publish</h2>
      <Outcome state={state}>{({ channels }) => <ChannelChoice channels={channels} />}</Outcome>
    </section>
  )
}

function ChannelChoice({ channels }: { channels: readonly PublishChannel[] }) {
  const [id, setId] = useState(channels[0]?.id)
  const channel = channels.find((each) => each.id === id)
  if (channel === undefined) return <p class="empty">Nothing may be published.</p>
  const domains = [...new Set(channels.map(({ domain }) => domain))]
  return (
    <>
      <label>
        Channel
        <select value={id} onChange={({ currentTarget }) => setId(currentTarget.value)} name="channel">
          {domains.map((domain) => (
            <optgroup key={domain} label={domain}>
              {channels
                .filter((each) => each.domain === domain)
                .map((each) => (
                  <option key={each.id} value={each.id}>
                    {each.id}
                  </option>
                ))}
            </optgroup>
          ))}
        </select>
      </label>
      <p class="hint">
        {channel.summary}. <code>{channel.pattern}</code>
      </p>
      <PublishForm key={channel.id} channel={channel} />
    </>
  )
}
