import { snapshot, streamEnd, streamState } from './live/live.ts'
import { session } from './session/session.ts'

/** What keeps the page from showing what is: said where everybody sees and hears it. */
export function Notices() {
  const text = session.value.type === 'open' ? notice() : undefined
  return (
    <div class="notices" role="status" aria-live="polite">
      {text && <p class="alert">{text}</p>}
    </div>
  )
}

function notice(): string | undefined {
  if (streamState.value === 'lost') {
    if (streamEnd.value === 'shutting_down')
      return 'The console’s server is restarting. Figures are the last known.'
    return 'The live stream is interrupted; trying again. Figures are the last known.'
  }
  if (snapshot.value?.nats_connected === false)
    return 'NATS is away: figures are the last known, and nothing can be looked up, changed or published.'
  return undefined
}
