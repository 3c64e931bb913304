import { useEffect } from 'preact/hooks'
import { AuditView } from './audit/audit-view.tsx'
import { Header } from './header.tsx'
import { openLiveStream } from './live/live.ts'
import { LookUpView } from './look-up/look-up-view.tsx'
import { Notices } from './notices.tsx'
import { OverviewView } from './overview/overview-view.tsx'
import { PublishView } from './publish/publish-view.tsx'
import { type View, view } from './route.ts'
import { LoginForm } from './session/login-form.tsx'
import { loadSession, session } from './session/session.ts'
import { SettingsView } from './settings/settings-view.tsx'
import { TryItView } from './try-it/try-it-view.tsx'

const RETRY_MS = 3_000

export function App() {
  const current = session.value
  useEffect(() => {
    if (current.type !== 'unknown') return
    void loadSession()
    const timer = setInterval(() => void loadSession(), RETRY_MS)
    return () => clearInterval(timer)
  }, [current.type])
  useEffect(() => (current.type === 'open' ? openLiveStream() : undefined), [current.type])

  return (
    <>
      <button type="button" class="skip" onClick={focusContent}>
        Skip to the content
      </button>
      <Header />
      <Notices />
      <main id="content" tabIndex={-1}>
        {current.type === 'unknown' && <Waiting error={current.error} />}
        {current.type === 'none' && <LoginForm ended={current.ended} />}
        {current.type === 'open' && <Content view={view.value} />}
      </main>
    </>
  )
}

function Waiting({ error }: { error: string | undefined }) {
  return error === undefined ? (
    <p class="empty">Connecting …</p>
  ) : (
    <p class="alert" role="alert">
      {error} Trying again every few seconds.
    </p>
  )
}

function Content({ view }: { view: View }) {
  switch (view) {
    case 'overview':
      return <OverviewView />
    case 'look-up':
      return <LookUpView />
    case 'settings':
      return <SettingsView />
    case 'publish':
      return <PublishView />
    case 'try-it':
      return <TryItView />
    case 'audit':
      return <AuditView />
    default:
      return view satisfies never
  }
}

function focusContent(): void {
  document.getElementById('content')?.focus()
}
