/** JSON Schema as it is printed: without what the validator keeps beside it, and without ids, since nothing refers to them. */
export function plainSchema(schema: object): object {
  return JSON.parse(JSON.stringify(schema, (key, value) => (key === '$id' ? undefined : value)))
}
