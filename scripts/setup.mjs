// Gets a fresh clone ready, with nothing but Node and npm: pnpm, dependencies, build, nats-server. Every step is
// skipped when it was done before.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'

export const root = resolve(import.meta.dirname, '..')
export const home = resolve(process.env.CARILLON_HOME ?? join(root, '.carillon'))
const bin = join(root, 'node_modules', '.bin')

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP']

/** Stops with a message instead of a stack trace. */
export class SetupError extends Error {}

export function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  throw new SetupError(`Carillon needs Node 20.19 or later; this is ${process.versions.node}`)
}

/** Installs the dependencies unless the lock file and the manifests are those of the last time. */
export async function install() {
  const stamp = join(root, 'node_modules', '.carillon-installed')
  const wanted = fingerprint()
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  await step(`Installing dependencies with ${packageManager}`, () =>
    execute('npx', ['-y', packageManager, 'install', '--frozen-lockfile', '--reporter=append-only'], {
      quiet: true,
    }),
  )
  writeFileSync(stamp, wanted)
}

function fingerprint() {
  const folders = ['apps', 'packages'].flatMap((group) =>
    readdirSync(join(root, group)).map((name) => join(root, group, name)),
  )
  const files = [root, ...folders].map((folder) => join(folder, 'package.json')).filter(existsSync)
  const hash = createHash('sha256').update(process.versions.node.split('.')[0])
  for (const file of [join(root, 'pnpm-lock.yaml'), join(root, 'pnpm-workspace.yaml'), ...files]) {
    hash.update(readFileSync(file))
  }
  return hash.digest('hex')
}

/** Builds what has changed since the last build. */
export async function build() {
  const turbo = () =>
    execute(join(bin, 'turbo'), ['run', 'build', '--output-logs=errors-only', '--no-update-notifier'], {
      quiet: true,
    })
  const built = existsSync(join(root, 'packages', 'service', 'dist'))
  await (built ? turbo() : step('Building', turbo))
}

/** Says on one line what is being done, and how long it took. */
async function step(name, body) {
  process.stdout.write(`${name} … `)
  const startedAt = performance.now()
  try {
    await body()
  } catch (error) {
    process.stdout.write('failed\n')
    throw error
  }
  process.stdout.write(`done in ${Math.round((performance.now() - startedAt) / 1_000)} s\n`)
}

/** The path of a nats-server: from NATS_SERVER, PATH, or Debian's package, unpacked into the state folder. */
export async function natsServer() {
  const unpacked = join(home, 'nats-server', 'usr', 'sbin', 'nats-server')
  const unpackedBin = join(home, 'nats-server', 'usr', 'bin', 'nats-server')
  const candidates = [
    process.env.NATS_SERVER,
    ...(process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'nats-server')),
    '/usr/sbin/nats-server',
    unpacked,
    unpackedBin,
  ]
  const found = () => candidates.find((path) => path && existsSync(path))
  if (!found()) await unpackNatsServer()
  const path = found()
  if (path) return path
  throw new SetupError(
    'No nats-server was found. Set NATS_URL to a running one, put nats-server (2.9 or later) on PATH, or install ' +
      'it: `apt-get install nats-server` on Debian and Ubuntu, `brew install nats-server` on macOS.',
  )
}

/** No root rights and no system service are needed: apt fetches the package, dpkg unpacks it. */
async function unpackNatsServer() {
  if (spawnSync('apt-get', ['--version']).status !== 0 || spawnSync('dpkg-deb', ['--version']).status !== 0)
    return
  console.log('Fetching nats-server with apt …')
  const folder = join(home, 'nats-server')
  const lists = join(folder, 'lists')
  mkdirSync(join(lists, 'partial'), { recursive: true })
  const options = [
    '-q',
    '-o',
    `Dir::State::Lists=${lists}`,
    '-o',
    'Debug::NoLocking=1',
    '-o',
    'APT::Sandbox::User=',
  ]
  const apt = (...args) =>
    spawnSync('apt-get', [...options, ...args], { cwd: folder, stdio: 'ignore' }).status === 0
  if (!apt('update') || !apt('download', 'nats-server')) return
  const archive = readdirSync(folder).find((name) => name.startsWith('nats-server') && name.endsWith('.deb'))
  if (archive) spawnSync('dpkg-deb', ['-x', join(folder, archive), folder], { stdio: 'ignore' })
}

/** The path of a Chromium for the browser tests, installed with apt where that is possible, or undefined. */
export function chromium() {
  const names = ['chromium', 'chromium-browser', 'google-chrome']
  const folders = (process.env.PATH ?? '').split(delimiter)
  const found = () => names.flatMap((name) => folders.map((folder) => join(folder, name))).find(existsSync)
  if (process.env.CHROMIUM || found()) return process.env.CHROMIUM ?? found()
  if (process.getuid?.() !== 0 || spawnSync('apt-get', ['--version']).status !== 0) return undefined
  console.log('Installing Chromium with apt, for the browser tests …')
  spawnSync('apt-get', ['-q', 'update'], { stdio: 'ignore' })
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  spawnSync('apt-get', ['-q', '-y', '--no-install-recommends', 'install', 'chromium'], {
    stdio: 'ignore',
    env,
  })
  return found()
}

/**
 * Runs a program to its end; its output is shown, or only when it fails where `quiet`. A signal that would end us
 * is passed on to it.
 */
export function execute(command, args, { quiet = false, env = {} } = {}) {
  return new Promise((done, fail) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ['ignore', quiet ? 'pipe' : 'inherit', quiet ? 'pipe' : 'inherit'],
      env: {
        ...process.env,
        PATH: `${bin}${delimiter}${process.env.PATH}`,
        TURBO_TELEMETRY_DISABLED: '1',
        ...env,
      },
    })
    const passOn = (signal) => child.kill(signal)
    for (const signal of SIGNALS) process.on(signal, passOn)
    let output = ''
    child.stdout?.on('data', (chunk) => (output += chunk))
    child.stderr?.on('data', (chunk) => (output += chunk))
    const ended = (settle) => {
      for (const signal of SIGNALS) process.off(signal, passOn)
      settle()
    }
    child.once('error', (error) => ended(() => fail(error)))
    child.once('close', (code, signal) =>
      ended(() => {
        if (code === 0) return done()
        process.stderr.write(output)
        fail(new SetupError(`${command} ${args.join(' ')} failed with ${code ?? signal}`))
      }),
    )
  })
}

/** Runs a script's main function; what a user can mend is one message, and every failure is exit code 1. */
export async function main(body) {
  try {
    requireNode()
    await body()
  } catch (error) {
    // A failure with an exit code is one that its user can mend.
    const known = error instanceof SetupError || error.exitCode !== undefined
    console.error(known ? error.message : error)
    process.exit(error.exitCode ?? 1)
  }
}
