import { DEVELOPMENT_SECRET } from '@carillon/auth'
import type { ServiceSource } from './services.ts'
import { table } from './table.ts'

interface Field {
  readonly type?: string
  readonly default?: unknown
  readonly description?: string
  readonly enum?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
}

interface Variable {
  readonly name: string
  readonly field: Field
  readonly services: readonly string[]
}

/** Every variable of every service: name, default, values and meaning. @throws where a variable has no meaning. */
export function variablesText(sources: readonly ServiceSource[]): string {
  const variables = collect(sources)
  const shared = variables.filter(({ services }) => services.length > 1)
  const parts = [`### Of several services\n\n${variableTable(shared, sources)}`]
  for (const { name } of sources) {
    const own = variables.filter(({ services }) => services.length === 1 && services[0] === name)
    if (own.length > 0) parts.push(`### Of ${name}\n\n${variableTable(own)}`)
  }
  return parts.join('\n\n')
}

function collect(sources: readonly ServiceSource[]): Variable[] {
  const variables = new Map<string, { name: string; field: Field; services: string[] }>()
  for (const source of sources) {
    for (const [name, field] of Object.entries<Field>(source.variables.properties)) {
      const known = variables.get(name)
      if (known) known.services.push(source.name)
      else variables.set(name, { name, field, services: [source.name] })
    }
  }
  return [...variables.values()]
}

function variableTable(variables: readonly Variable[], sources?: readonly ServiceSource[]): string {
  const rows = variables.map(({ name, field, services }) => [
    `\`${name}\``,
    defaultOf(field),
    valuesOf(field),
    ...(sources ? [services.length === sources.length ? 'all' : services.join(', ')] : []),
    meaningOf(name, field),
  ])
  return table(['variable', 'default', 'values', ...(sources ? ['services'] : []), 'meaning'], rows)
}

function defaultOf(field: Field): string {
  if (field.default === undefined) return '–'
  return field.default === DEVELOPMENT_SECRET ? 'a development secret' : `\`${field.default}\``
}

function valuesOf(field: Field): string {
  if (field.minimum !== undefined) return `${field.minimum} to ${field.maximum}`
  if (field.enum) return field.enum.map((value) => `\`${value}\``).join(', ')
  return field.type === 'boolean' ? '`true`, `false`' : ''
}

function meaningOf(name: string, { description }: Field): string {
  if (!description) throw new Error(`the variable ${name} has no description in its schema`)
  return description
}
