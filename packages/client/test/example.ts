import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import * as ws from 'ws'
import * as auction from '../src/auction/index.ts'
import * as campusEntry from '../src/campus/index.ts'
import * as im from '../src/im/index.ts'
import * as quote from '../src/quote/index.ts'
import * as voiceEntry from '../src/voice/index.ts'

const page = readFileSync(resolve(import.meta.dirname, '../README.md'), 'utf8')
const modules: Readonly<Record<string, object>> = {
  ws,
  '@carillon/client/auction': auction,
  '@carillon/client/quote': quote,
  '@carillon/client/voice': voiceEntry,
  '@carillon/client/im': im,
  '@carillon/client/campus': campusEntry,
}

/** The example below a heading, as it stands, but with the service's address and with modules that are loaded already. */
export function exampleOf(heading: string, endpoint: string) {
  const code = page.split(`## ${heading}\n`)[1]?.split('```js\n')[1]?.split('\n```')[0]
  if (code === undefined) throw new Error(`there is no example of ${heading}`)
  const body = code
    .replace(/import (\{[^}]*\}) from ('[^']+')/g, 'const $1 = modules[$2]')
    .replace(/'(?:ws|http):\/\/127\.0\.0\.1:\d+'/, `'${endpoint}'`)
  const printed: string[] = []
  const print = (...words: unknown[]) => void printed.push(words.join(' '))
  const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor
  // What it leaves open is closed: its last value is its client.
  const run = (env: object): Promise<{ close(): void }> =>
    new AsyncFunction(
      'modules',
      'console',
      'process',
      `${body}\nreturn typeof client === 'undefined' ? device : client`,
    )(modules, { log: print, error: print }, { env })
  return { printed, run }
}
