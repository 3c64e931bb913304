import { snapshot, streamState } from './live/live.ts'
import { type View, view, views } from './route.ts'
import { session, signOut } from './session/session.ts'
import { currentTheme, toggleTheme } from './theme.ts'

const titles: Readonly<Record<View, string>> = {
  overview: 'Overview',
  'look-up': 'Look up',
  settings: 'Settings',
  publish: 'Publish',
  'try-it': 'Try it',
  audit: 'Audit log',
}

export function Header() {
  const current = session.value
  const signedIn = current.type === 'open' ? current.signedIn : undefined
  const shown = views.filter(
    (each) => (each !== 'try-it' || signedIn?.try_it) && (each !== 'audit' || signedIn?.role === 'operator'),
  )
  const dark = currentTheme() === 'dark'
  return (
    <header>
      <h1>
        <Bell />
        Carillon
      </h1>
      {signedIn && (
        <nav aria-label="Views">
          {shown.map((each) => (
            <a key={each} href={`#${each}`} aria-current={view.value === each ? 'page' : undefined}>
              {titles[each]}
            </a>
          ))}
        </nav>
      )}
      <div class="status">
        {signedIn && <Connections />}
        {signedIn && (
          <span class="who">
            {signedIn.user} <span class="chip">{signedIn.role}</span>
          </span>
        )}
        {signedIn && !signedIn.development && (
          <button type="button" class="quiet" onClick={() => void signOut().catch(() => {})}>
            Sign out
          </button>
        )}
        <button
          type="button"
          class="quiet icon"
          aria-label={dark ? 'Switch to light colours' : 'Switch to dark colours'}
          onClick={toggleTheme}
        >
          {dark ? '☀' : '☾'}
        </button>
      </div>
    </header>
  )
}

/** NATS and the live stream, in words and not by colour alone. */
function Connections() {
  const nats = snapshot.value?.nats_connected
  const stream = streamState.value
  const state =
    stream === 'lost' ? 'stream lost' : nats === undefined ? 'connecting' : nats ? 'NATS' : 'NATS away'
  const level = stream === 'lost' || nats === false ? 'bad' : nats === undefined ? 'waiting' : 'good'
  return (
    <span class={`dot ${level}`} data-testid="nats">
      {state}
    </span>
  )
}

function Bell() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <path d="M16 3a2 2 0 0 1 2 2v.6c4 .9 6.500 4.300 6.500 8.900 0 5 .9 7 2.900 8.700.9.800.3 2.300-.9 2.300h-21c-1.200 0-1.800-1.500-.9-2.300 2-1.700 2.900-3.700 2.900-8.700 0-4.600 2.500-8 6.500-8.900V5a2 2 0 0 1 2-2Zm-3.500 24h7a3.500 3.500 0 0 1-7 0Z" />
    </svg>
  )
}
