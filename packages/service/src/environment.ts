import { type Static, type TObject, type TSchema, Type } from 'typebox'
import { Compile } from 'typebox/compile'

/** Everything that is wrong with an environment, at once. */
export class EnvironmentError extends Error {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(`the environment is not valid:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
    this.problems = problems
  }
}

/**
 * Field types of an environment. An empty variable counts as unset. `about` says what a variable means:
 * docs/operations.md is made of it.
 */
export const env = {
  port: (value?: number, about?: string) =>
    Type.Integer({ minimum: 0, maximum: 65_535, ...withDefault(value), ...describedAs(about) }),
  integer: (minimum: number, maximum: number, value: number, about?: string) =>
    Type.Integer({ minimum, maximum, default: value, ...describedAs(about) }),
  boolean: (value: boolean, about?: string) => Type.Boolean({ default: value, ...describedAs(about) }),
  text: (value?: string, about?: string) =>
    Type.String({ minLength: 1, ...withDefault(value), ...describedAs(about) }),
  url: (schemes: string, value?: string, about?: string) =>
    Type.String({ pattern: `^(${schemes})://[^\\s/]+`, ...withDefault(value), ...describedAs(about) }),
  /** A URL that is handed out to clients. */
  clientUrl: (schemes: string, about?: string) =>
    Type.String({
      pattern: `^(${schemes})://[^\\s/]+`,
      check: isClientUrl,
      form: 'a URL without credentials and fragment',
      ...describedAs(about),
    }),
  /** Text in a form of its own: `check` says whether it is, `form` what it should be. */
  checked: (check: (text: string) => boolean, form: string, value: string, about?: string) =>
    Type.String({ minLength: 1, default: value, check, form, ...describedAs(about) }),
  oneOf: <const V extends string>(values: readonly V[], value: V, about?: string) =>
    Type.Unsafe<V>({ type: 'string', enum: [...values], default: value, ...describedAs(about) }),
}

function isClientUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { username, password, hash } = new URL(text)
  return username === '' && password === '' && hash === ''
}

function withDefault<T>(value: T | undefined) {
  return value === undefined ? {} : { default: value }
}

function describedAs(description: string | undefined) {
  return description === undefined ? {} : { description }
}

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads the variables that a schema names, each by its type, and checks them all; `checks` look at how they go
 * together.
 * @throws {EnvironmentError} with every problem, each naming its variable, never its value.
 */
export function readEnvironment<S extends TObject>(
  schema: S,
  environment: Environment,
  ...checks: readonly ((environment: Environment) => readonly string[])[]
): Static<S> {
  const values: Record<string, unknown> = {}
  const problems: string[] = checks.flatMap((check) => check(environment))
  for (const [name, field] of Object.entries(schema.properties) as [
    string,
    TSchema & { default?: unknown },
  ][]) {
    const text = environment[name]
    const value = text === undefined || text === '' ? field.default : convert(text, field)
    if (value === undefined) {
      if (schema.required?.includes(name)) problems.push(`${name} is required`)
      continue
    }
    values[name] = value
    const { check, form } = field as { check?: (value: unknown) => boolean; form?: string }
    if (check && !check(value)) problems.push(`${name} must be ${form}`)
    const validator = Compile(field)
    if (!validator.Check(value))
      problems.push(`${name} ${describe(validator.Errors(value)[0]?.message, field)}`)
  }
  if (problems.length > 0) throw new EnvironmentError(problems)
  return values as Static<S>
}

function convert(text: string, field: TSchema & { type?: string }): unknown {
  if (field.type === 'integer' && /^-?\d+$/.test(text)) return Number(text)
  if (field.type === 'boolean' && /^(true|false|1|0)$/.test(text)) return text === 'true' || text === '1'
  return text
}

function describe(
  message: string | undefined,
  field: TSchema & { minimum?: number; maximum?: number; enum?: string[]; pattern?: string },
): string {
  if (field.minimum !== undefined && field.maximum !== undefined) {
    return `must be a whole number from ${field.minimum} to ${field.maximum}`
  }
  if (field.enum) return `must be one of ${field.enum.join(', ')}`
  if (field.pattern) return `must match ${field.pattern}`
  return message ?? 'is not valid'
}
