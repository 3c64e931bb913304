// Takes the dependencies on packages of this repository out of a package.json, in place.
import { readFileSync, writeFileSync } from 'node:fs'

const [file] = process.argv.slice(2)
const manifest = JSON.parse(readFileSync(file, 'utf8'))
for (const [name, range] of Object.entries(manifest.devDependencies)) {
  if (range.startsWith('workspace:')) delete manifest.devDependencies[name]
}
writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`)
