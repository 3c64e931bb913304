import type { Profiler } from 'node:inspector'
import { Session } from 'node:inspector/promises'

/** Methods by which the bench profiles a server's process. */
export function profiling() {
  const session = new Session()
  session.connect()
  return {
    async profileStart() {
      await session.post('Profiler.enable')
      await session.post('Profiler.start')
    },
    profileStop: async () => selfTimes((await session.post('Profiler.stop')).profile),
  }
}

/** Where the time went: each function's own share, the largest first. */
function selfTimes(profile: Profiler.Profile): { name: string; percent: number }[] {
  const byName = new Map<string, number>()
  const names = new Map(
    profile.nodes.map(({ id, callFrame: { functionName, url } }) => [
      id,
      `${functionName || '(anonymous)'} ${url.split('/').slice(-3).join('/')}`.trim(),
    ]),
  )
  let total = 0
  for (const [i, id] of (profile.samples ?? []).entries()) {
    const name = names.get(id) ?? '?'
    const time = profile.timeDeltas?.[i] ?? 0
    if (name === '(idle)') continue
    total += time
    byName.set(name, (byName.get(name) ?? 0) + time)
  }
  return [...byName]
    .map(([name, time]) => ({ name, percent: (100 * time) / total }))
    .sort((a, b) => b.percent - a.percent)
    .slice(0, 12)
}
