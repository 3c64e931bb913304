import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { commonVariables } from '@carillon/service'
import { describe, expect, test } from '@jest/globals'
import { parseAllDocuments } from 'yaml'

const root = resolve(import.meta.dirname, '..', '..')
const apps = readdirSync(join(root, 'apps')).filter((name) =>
  existsSync(join(root, 'apps', name, 'package.json')),
)
const gateways = apps.filter((name) => name !== 'im-messages')
const folders = (process.env.PATH ?? '').split(':')
const kustomize = [...folders, join(process.env.HOME ?? '', 'go', 'bin')]
  .map((folder) => join(folder, 'kustomize'))
  .find(existsSync)
const kubectl = folders.map((folder) => join(folder, 'kubectl')).find(existsSync)

interface Resource {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string }
  // biome-ignore lint/suspicious/noExplicitAny: of every kind; the schema says what it must be
  readonly spec: any
}

const built = new Map<string, Resource[]>()

/** Rendering takes a process and a second: each is rendered once. */
function build(path: string): Resource[] {
  const resources = built.get(path) ?? render(path)
  built.set(path, resources)
  return resources
}

function render(path: string): Resource[] {
  const folder = join(root, 'deploy', 'k8s', path)
  const text = kustomize
    ? execFileSync(kustomize, ['build', folder], { encoding: 'utf8' })
    : execFileSync(kubectl as string, ['kustomize', folder], { encoding: 'utf8' })
  return parseAllDocuments(text).map((document) => document.toJS() as Resource)
}

/** What Kubernetes' own schema says against it. */
async function problem(resource: Resource): Promise<string | undefined> {
  const { apiVersion, kind } = resource
  const models = await import(`kubernetes-models/${apiVersion}`)
  try {
    new models[kind](resource).validate()
    return undefined
  } catch (error) {
    return `${kind} ${resource.metadata.name}: ${(error as Error).message}`
  }
}

const of = (resources: readonly Resource[], kind: string) =>
  resources.filter((resource) => resource.kind === kind)

// The manifests are rendered by kustomize, or by kubectl, which has it inside. Without them there is nothing to check.
const rendered = kustomize || kubectl ? describe : describe.skip

rendered('deploy/k8s (with kustomize or kubectl)', () => {
  test.each([...apps, 'nats', 'overlays/small', 'overlays/production'])(
    '%s matches the schemas',
    async (path) => {
      const resources = build(path)
      expect(resources.length).toBeGreaterThan(3)
      const problems: string[] = []
      // One after the other: the test runner loads one module at a time.
      for (const resource of resources) problems.push(...[(await problem(resource)) ?? []].flat())
      expect(problems).toEqual([])
    },
  )

  test('the schemas would find a mistake', async () => {
    const [deployment] = of(build('auction-push'), 'Deployment')
    const broken = { ...deployment, spec: { ...deployment?.spec, replicas: 'two' } } as Resource
    expect(await problem(broken)).toMatch(/replicas/)
  })

  test.each(apps)('%s: its own names, ports, references and variables', (name) => {
    const resources = build(name)
    expect(new Set(resources.map(({ metadata }) => metadata.name))).toEqual(new Set([name]))
    const [deployment] = of(resources, 'Deployment')
    const { spec } = deployment?.spec.template ?? {}
    expect(spec).toMatchObject({
      serviceAccountName: name,
      enableServiceLinks: false,
      securityContext: { runAsNonRoot: true },
    })
    const [container] = spec.containers
    expect(container.securityContext.readOnlyRootFilesystem).toBe(true)
    expect(container.livenessProbe.httpGet.path).toBe('/healthz')
    expect(container.readinessProbe.httpGet.path).toBe('/readyz')
    const value = (variable: string) =>
      container.env.find((each: { name: string }) => each.name === variable)?.value
    const drainSeconds = Number(value('DRAIN_DELAY_SECONDS')) + Number(value('DRAIN_SECONDS'))
    expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(drainSeconds + 12)
    // Every variable is one that the service reads.
    const config = readFileSync(join(root, 'apps', name, 'src', 'config.ts'), 'utf8')
    const generated = /gatewayVariables\('(\w+)'/.exec(config)?.[1]
    for (const { name: variable } of container.env) {
      const known =
        variable in commonVariables ||
        new RegExp(`\\b${variable}\\b`).test(config) ||
        (generated && new RegExp(`^${generated}_(LISTEN_PORT|ADMIN_PORT|PUBLIC_URL)$`).test(variable))
      expect([variable, Boolean(known)]).toEqual([variable, true])
    }
    const selected = { 'app.kubernetes.io/name': name }
    expect(deployment?.spec.selector.matchLabels).toMatchObject(selected)
    expect(deployment?.spec.template.metadata.labels).toMatchObject(selected)
    expect(of(resources, 'PodDisruptionBudget')[0]?.spec.selector.matchLabels).toMatchObject(selected)
    const policy = of(resources, 'NetworkPolicy')[0]?.spec
    expect(policy.podSelector.matchLabels).toMatchObject(selected)
    expect(JSON.stringify(policy.egress)).not.toContain(name)
    if (!gateways.includes(name)) return
    expect(of(resources, 'Service')[0]?.spec.selector).toMatchObject(selected)
    expect(of(resources, 'HorizontalPodAutoscaler')[0]?.spec.scaleTargetRef.name).toBe(name)
    expect(of(resources, 'Ingress')[0]?.spec.rules[0].http.paths[0].backend.service.name).toBe(name)
  })

  test('nats: three servers on nodes of their own, which have everything that the configuration asks for', () => {
    const resources = build('nats')
    const [set] = of(resources, 'StatefulSet')
    expect(set?.spec).toMatchObject({ replicas: 3, serviceName: 'nats' })
    const { spec } = set?.spec.template ?? {}
    const [rule] = spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution
    expect(rule.topologyKey).toBe('kubernetes.io/hostname')
    expect(rule.labelSelector.matchLabels).toEqual(set?.spec.selector.matchLabels)
    expect(of(resources, 'Service')[0]?.spec).toMatchObject({
      clusterIP: 'None',
      publishNotReadyAddresses: true,
    })
    expect(of(resources, 'PodDisruptionBudget')[0]?.spec.maxUnavailable).toBe(1)
    const [config] = of(resources, 'ConfigMap') as (Resource & { data: Record<string, string> })[]
    const text = Object.values(config?.data ?? {})
      .join('\n')
      .replace(/#.*|"[^"]*"/g, '')
    expect(text).toContain('sync_interval: always')
    // Passwords come from the Secret; the rest is named here.
    const [container] = spec.containers
    const named = container.env.map(({ name }: { name: string }) => name)
    const wanted = [...text.matchAll(/\$([A-Z_]+)/g)].map(([, name]) => name as string)
    expect(wanted.length).toBeGreaterThan(10)
    expect(wanted.filter((name) => !named.includes(name) && !name.endsWith('_PASSWORD'))).toEqual([])
    expect(container.envFrom).toEqual([{ secretRef: { name: 'nats' } }])
    expect(spec.volumes.find(({ name }: { name: string }) => name === 'config').configMap.name).toBe(
      config?.metadata.name,
    )
    for (const { name, containerPort } of container.ports)
      expect([name, text.includes(`${containerPort}`)]).toEqual([name, true])
    const [job] = of(resources, 'Job')
    expect(job?.spec.template.spec.containers[0].args).toEqual([
      'dist/main.js',
      'provision',
      '--replicas',
      '3',
    ])
  })

  test('production: services with tokens reach the issuer’s keys, and no private network', () => {
    const policies = of(build('overlays/production'), 'NetworkPolicy')
    const outside = policies.filter(({ spec }) => JSON.stringify(spec.egress ?? []).includes('0.0.0.0/0'))
    const users = apps.filter((name) =>
      readFileSync(join(root, 'apps', name, 'src', 'config.ts'), 'utf8').includes('authVariables'),
    )
    expect(outside.map(({ metadata }) => metadata.name).sort()).toEqual(users.sort())
    for (const { spec } of outside) {
      const rule = spec.egress.find(({ to }: { to?: object[] }) =>
        JSON.stringify(to ?? []).includes('0.0.0.0/0'),
      )
      expect(rule.ports).toEqual([{ port: 443 }])
      expect(rule.to[0].ipBlock.except).toContain('10.0.0.0/8')
    }
  })

  test('the overlays hold every service once', () => {
    for (const overlay of ['overlays/small', 'overlays/production']) {
      const deployments = of(build(overlay), 'Deployment')
      expect(deployments.map(({ metadata }) => metadata.name).sort()).toEqual([...apps].sort())
      expect(new Set(deployments.map(({ metadata }) => metadata.namespace))).toEqual(new Set(['carillon']))
    }
  })
})
