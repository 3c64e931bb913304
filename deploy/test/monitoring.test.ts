import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as discovery from '@carillon/endpoint-discovery'
import * as messages from '@carillon/im-messages'
import { eventually, NatsServer, tableRows, testEnvironment } from '@carillon/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { parse } from 'yaml'
import { bootAuction } from '../../apps/auction-push/test/auction.ts'
import { bootCampus } from '../../apps/campus-socketio/test/campus.ts'
import * as imGateway from '../../apps/im-gateway/src/server.ts'
import { bootQuote } from '../../apps/quote-interact/test/quote.ts'
import { bootVoice } from '../../apps/voice-room-ws/test/voice.ts'

const file = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
const ends: (() => Promise<unknown>)[] = []
/** The lines of /metrics, by service. */
const metrics = new Map<string, string>()

beforeAll(async () => {
  const nats = await NatsServer.start()
  ends.push(() => nats.stop())
  const folder = await mkdtemp(join(tmpdir(), 'carillon-monitoring-'))
  ends.push(() => rm(folder, { recursive: true, force: true }))
  const store = messages.create(
    messages.readConfig({ ...testEnvironment('IM_MESSAGES', nats), CARILLON_HOME: folder }),
  )
  const gateway = imGateway.create(imGateway.readConfig(testEnvironment('IM', nats)))
  const endpoints = discovery.create(discovery.readConfig(testEnvironment('DISCOVERY', nats)))
  for (const service of [store, gateway, endpoints]) await service.start()
  const services = {
    'im-messages': store,
    'im-gateway': gateway,
    'endpoint-discovery': endpoints,
    'auction-push': await bootAuction(nats),
    'quote-interact': await bootQuote(nats),
    'campus-socketio': await bootCampus(nats),
    'voice-room-ws': await bootVoice(nats),
  }
  for (const [name, service] of Object.entries(services)) {
    ends.push(() => service.stop())
    const read = async () => (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text()
    await eventually(async () => /carillon_nats_connected\{[^}]*\} 1/.test(await read()))
    metrics.set(name, await read())
  }
}, 120_000)
afterAll(async () => {
  for (const end of ends.reverse()) await end()
})

/** Services without connections of clients. */
const withoutConnections = ['im-messages', 'endpoint-discovery']

const namesIn = (expression: string) => expression.match(/\b(?:carillon|nodejs|process)_[a-z0-9_]+/g) ?? []
const isThere = (name: string) => [...metrics.values()].some((text) => text.includes(`# TYPE ${name} `))

// Some metrics of a process exist on Linux alone.
const onLinux = process.platform === 'linux' ? test : test.skip

onLinux('docs/operations.md (on Linux) lists what /metrics of each service has, and no other', () => {
  const operations = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')
  const rows = tableRows(operations, 'Metrics')
  for (const [name, text] of metrics) {
    const connected = withoutConnections.includes(name) ? [] : ['all with connections']
    const documented = rows
      .filter(([, , , services = '']) =>
        services.split(', ').some((each) => ['all', name, ...connected].includes(each)),
      )
      .map(([metric, type]) => `${metric?.replaceAll('`', '')} ${type}`)
    const offered = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(
      ([, metric, type]) => `${metric} ${type}`,
    )
    expect([name, offered.sort()]).toEqual([name, documented.sort()])
    for (const [metric = '', , labels = ''] of rows) {
      const known = new Set([
        'service',
        'le',
        ...labels.split(', ').map((label) => label.replaceAll('`', '')),
      ])
      const samples = text.matchAll(
        new RegExp(`^${metric.replaceAll('`', '')}(?:_bucket|_sum|_count)?{(.*)} `, 'gm'),
      )
      for (const [, labelled = ''] of samples) {
        const unknown = [...labelled.matchAll(/(\w+)="/g)].filter(([, label = '']) => !known.has(label))
        expect([metric, unknown.map(([, label]) => label)]).toEqual([metric, []])
      }
    }
  }
})

test('every metric of the alerts is in /metrics of a service', () => {
  const { groups } = parse(file('monitoring/alerts.yaml'))
  const rules: { readonly alert: string; readonly expr: string }[] = groups[0].rules
  expect(rules.length).toBeGreaterThan(8)
  for (const { alert, expr } of rules) {
    const names = namesIn(expr)
    expect([alert, names.length > 0]).toEqual([alert, true])
    expect([alert, names.filter((name) => !isThere(name))]).toEqual([alert, []])
  }
})

test('every metric of the dashboard is in /metrics of a service', () => {
  const { panels } = JSON.parse(file('monitoring/dashboard.json'))
  for (const { title, targets } of panels) {
    const names = namesIn(targets[0].expr)
    expect([title, names.length > 0]).toEqual([title, true])
    expect([title, names.filter((name) => !isThere(name))]).toEqual([title, []])
  }
})

test('the metric of the autoscalers is in /metrics of every gateway, and the adapter passes it on', () => {
  const [, metric] = /name: (carillon_\w+)/.exec(file('k8s/base/gateway/autoscaler.yaml')) ?? []
  expect(file('monitoring/prometheus-adapter.yaml')).toContain(`"${metric}"`)
  for (const [name, text] of metrics) {
    if (!withoutConnections.includes(name))
      expect([name, text.includes(`# TYPE ${metric} gauge`)]).toEqual([name, true])
  }
})

test('every alert that names a runbook finds it', () => {
  const headings = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('#'))
    .map((line) =>
      line
        .replace(/^#+ /, '')
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    )
  const runbooks = [...file('monitoring/alerts.yaml').matchAll(/runbook: docs\/operations\.md#(\S+)/g)]
  expect(runbooks.length).toBeGreaterThan(5)
  for (const [, anchor] of runbooks) expect(headings).toContain(anchor)
})
