import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem } from 'node:os'
import { resolve } from 'node:path'
import type { CaseResult } from './result.ts'

const docs = resolve(import.meta.dirname, '..', 'docs')
const store = resolve(docs, 'benchmarks')

interface Stored extends CaseResult {
  readonly name: string
  readonly command: string
  readonly machine: string
  readonly versions: string
  readonly date: string
}

/** Keeps a case's result, so that one case can be run again without the others. */
export function keep(name: string, result: CaseResult): void {
  mkdirSync(store, { recursive: true })
  const { node, v8 } = process.versions
  const version = (module: string) =>
    JSON.parse(readFileSync(resolve(docs, '..', 'node_modules', module, 'package.json'), 'utf8')).version
  const stored: Stored = {
    ...result,
    name,
    command: `npm run bench -- ${name}`,
    machine: `${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release().split('-')[0]}`,
    versions: `Node ${node} (V8 ${v8}), ws ${version('ws')}, socket.io ${version('socket.io')}`,
    date: new Date().toISOString().slice(0, 10),
  }
  writeFileSync(resolve(store, `${name}.json`), `${JSON.stringify(stored, null, 2)}\n`)
}

/** Writes docs/benchmarks.md and its plots from all results that are kept. */
export function write(order: readonly string[]): void {
  const results = order.flatMap((name) => {
    try {
      return [JSON.parse(readFileSync(resolve(store, `${name}.json`), 'utf8')) as Stored]
    } catch {
      return []
    }
  })
  const sections = results.map((result) => {
    const plot = result.bars ? `\n![${result.title}](benchmarks/${result.name}.svg)\n` : ''
    if (result.bars) writeFileSync(resolve(store, `${result.name}.svg`), bars(result))
    const rows = result.rows.map(({ what, measured, reach = '', reached }) => {
      const verdict = reached === undefined ? '' : reached ? ' ✓' : ' – not reached'
      return `| ${what} | ${measured} | ${reach}${verdict} |`
    })
    const notes = (result.notes ?? []).map((note) => `\n${note}\n`).join('')
    return `## ${result.title}

${result.how}

| what | measured | to reach |
| --- | --- | --- |
${rows.join('\n')}
${plot}${notes}
\`${result.command}\` · ${result.date} · ${result.machine} · ${result.versions}
`
  })
  const remarks = readFileSync(resolve(docs, 'benchmarks', 'remarks.md'), 'utf8')
  writeFileSync(resolve(docs, 'benchmarks.md'), `${remarks}\n${sections.join('\n')}`)
}

function bars({ title, bars: all = [], unit = '' }: CaseResult): string {
  const most = Math.max(...all.map(({ value }) => value))
  const lines = all.map(({ label, value }, i) => {
    const y = 50 + i * 34
    const width = Math.max(1, (value / most) * 440)
    return `<text x="170" y="${y + 16}" text-anchor="end">${label}</text>
<rect x="180" y="${y}" width="${width.toFixed(1)}" height="22" fill="${i === 0 ? '#2f6f8f' : '#b8c4cc'}"/>
<text x="${(186 + width).toFixed(1)}" y="${y + 16}">${Math.round(value).toLocaleString('en')}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" width="760" height="${60 + all.length * 34}" font-family="sans-serif" font-size="13">
<title>${title}</title>
<rect width="100%" height="100%" fill="white"/>
<text x="20" y="28" font-size="15" font-weight="bold">${title} (${unit})</text>
${lines.join('\n')}
</svg>
`
}
