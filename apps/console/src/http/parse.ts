import type { FastifyRequest } from 'fastify'
import type { Static, TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { ApiFailure } from './api-failure.ts'

/** Reads what a schema describes. @throws {ApiFailure} with the first thing that is wrong */
function reader<S extends TSchema>(schema: S, what: string): (value: unknown) => Static<S> {
  const validator = Compile(schema)
  return (value) => {
    if (validator.Check(value)) return value as Static<S>
    const error = validator.Errors(value)[0]
    throw new ApiFailure(
      'bad_request',
      `${what}${error?.instancePath ?? ''} ${error?.message ?? 'is not valid'}`,
    )
  }
}

export function bodyReader<S extends TSchema>(schema: S): (request: FastifyRequest) => Static<S> {
  const read = reader(schema, 'the body')
  return ({ body }) => read(body)
}

/** Parameters are texts; one that is given twice is not understood. */
export function queryReader<S extends TSchema>(schema: S): (request: FastifyRequest) => Static<S> {
  const read = reader(schema, 'the query')
  return ({ query }) => read({ ...(query as object) })
}
