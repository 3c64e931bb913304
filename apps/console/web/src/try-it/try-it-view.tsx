import { useEffect, useState } from 'preact/hooks'
import { messageOf } from '../api.ts'
import type { TryProtocol } from './protocol.ts'
import { TryPane } from './try-pane.tsx'

/** Each with its client, which is fetched when it is chosen. */
const protocols: Readonly<Record<string, { title: string; load: () => Promise<TryProtocol> }>> = {
  auction: { title: 'Auction', load: async () => (await import('./auction.ts')).auction },
  quote: { title: 'Quotes', load: async () => (await import('./quote.ts')).quote },
  voice: { title: 'Voice room', load: async () => (await import('./voice.ts')).voice },
  im: { title: 'IM', load: async () => (await import('./im.ts')).im },
  campus: { title: 'Campus device', load: async () => (await import('./campus.ts')).campus },
}

/** A test user's connection, made by the client library, and every frame of it. */
export function TryItView() {
  const [name, setName] = useState('auction')
  const [loaded, setLoaded] = useState<{ name: string; protocol?: TryProtocol; error?: string }>()
  useEffect(() => {
    let current = true
    const settle = (outcome: { protocol: TryProtocol } | { error: string }) => {
      if (current) setLoaded({ name, ...outcome })
    }
    protocols[name]?.load().then(
      (protocol) => settle({ protocol }),
      (error) => settle({ error: messageOf(error) }),
    )
    return () => {
      current = false
    }
  }, [name])
  const { protocol, error } = loaded?.name === name ? loaded : {}
  return (
    <section class="card" aria-labelledby="try-heading">
      <div class="bar">
        <h2 id="try-heading">Try it</h2>
        <label class="inline">
          Protocol
          <select value={name} onChange={({ currentTarget }) => setName(currentTarget.value)}>
            {Object.entries(protocols).map(([each, { title }]) => (
              <option key={each} value={each}>
                {title}
              </option>
            ))}
          </select>
        </label>
      </div>
      {error && <p class="alert">{error}</p>}
      {protocol && <TryPane key={name} protocol={protocol} />}
    </section>
  )
}
