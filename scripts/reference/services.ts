import { existsSync, readdirSync } from 'node:fs'
import type { CloseCode } from '@carillon/codec'
import type { Environment, readEnvironment, Service } from '@carillon/service'

/** A schema of variables. */
export type Variables = Parameters<typeof readEnvironment>[0]

/** What a service says of itself in its code. */
export interface ServiceSource {
  readonly name: string
  /** Everything that it reads from its environment. */
  readonly variables: Variables
  /** By a name of its own; undefined where a service closes no connections of clients. */
  readonly closeCodes: Readonly<Record<string, CloseCode>> | undefined
  /** The service, made but not started. */
  readonly create: (environment: Environment) => Service
}

const apps = new URL('../../apps/', import.meta.url)

/** Every folder of apps/. */
export async function serviceSources(): Promise<ServiceSource[]> {
  const names = readdirSync(apps)
    .filter((name) => existsSync(new URL(`${name}/package.json`, apps)))
    .sort()
  const sources: ServiceSource[] = []
  // One after the other: the test runner loads one module at a time.
  for (const name of names) sources.push(await serviceSource(name))
  return sources
}

async function serviceSource(name: string): Promise<ServiceSource> {
  const { variables } = await import(`${apps.href}${name}/src/config.ts`)
  if (variables === undefined) throw new Error(`apps/${name}/src/config.ts exports no variables`)
  const { create, readConfig } = await import(`${apps.href}${name}/src/server.ts`)
  const protocol = new URL(`${name}/src/protocol.ts`, apps)
  const { closeCodes } = existsSync(protocol) ? await import(protocol.href) : { closeCodes: undefined }
  return { name, variables, closeCodes, create: (environment) => create(readConfig(environment)) }
}
