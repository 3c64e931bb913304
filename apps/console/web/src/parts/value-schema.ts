/** What a value of a JSON Schema may be, as far as an input can hold it to that. */
export type ValueKind =
  | {
      readonly type: 'number'
      readonly integer: boolean
      readonly minimum?: number
      readonly maximum?: number
    }
  | { readonly type: 'text' }
  | { readonly type: 'boolean' }
  | { readonly type: 'choice'; readonly values: readonly string[] }
  /** Arrays, objects and whatever else: written as JSON. */
  | { readonly type: 'json' }

interface Schema {
  readonly type?: unknown
  readonly const?: unknown
  readonly enum?: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly anyOf?: readonly Schema[]
  readonly description?: unknown
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
}

export function valueKind(schema: object): ValueKind {
  const { type, minimum, maximum, anyOf, enum: list, const: only } = schema as Schema
  const values = only !== undefined ? [only] : Array.isArray(list) ? list : anyOf?.map((each) => each.const)
  if (values && values.length > 0 && values.every((each) => typeof each === 'string'))
    return { type: 'choice', values }
  if (type === 'integer' || type === 'number')
    return {
      type: 'number',
      integer: type === 'integer',
      ...(minimum !== undefined && { minimum }),
      ...(maximum !== undefined && { maximum }),
    }
  if (type === 'string') return { type: 'text' }
  if (type === 'boolean') return { type: 'boolean' }
  return { type: 'json' }
}

export interface Field {
  readonly name: string
  readonly kind: ValueKind
  readonly required: boolean
  readonly description: string | undefined
}

/** The fields of an object's schema; undefined where it describes no object with fields. */
export function fieldsOf(schema: object): readonly Field[] | undefined {
  const { type, properties, required = [] } = schema as Schema
  if (type !== 'object' || properties === undefined) return undefined
  return Object.entries(properties).map(([name, each]) => ({
    name,
    kind: valueKind(each),
    required: required.includes(name),
    description: typeof each.description === 'string' ? each.description : undefined,
  }))
}
