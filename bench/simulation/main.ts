// npm run simulate: what happens to fleets of docs/scaling.md when something dies; npm run simulate -- '1 million'
import { simulate, sizes } from './scenarios.ts'
import { outcomeTable } from './tables.ts'

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !(name in sizes))
if (unknown.length > 0) {
  console.error(`there is no size ${unknown.join()}: ${Object.keys(sizes).join(', ')}`)
  process.exit(2)
}
for (const [name, size] of Object.entries(sizes)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const startedAtMs = performance.now()
  console.log(`\n### ${name} connections\n\n${outcomeTable(simulate(size))}`)
  console.error(`(${((performance.now() - startedAtMs) / 1_000).toFixed(1)} s)`)
}
