import { useState } from 'preact/hooks'
import { auction } from './auction.ts'
import type { TryProtocol } from './protocol.ts'
import { quote } from './quote.ts'
import { TryPane } from './try-pane.tsx'

const protocols: Readonly<Record<string, TryProtocol>> = { auction, quote }

/** A test user's connection, made by the client library, and every frame of it. */
export function TryItView() {
  const [name, setName] = useState('auction')
  const protocol = protocols[name]
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
      {protocol && <TryPane key={name} protocol={protocol} />}
    </section>
  )
}
