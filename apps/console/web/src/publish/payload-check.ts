import { Errors } from 'typebox/schema'

const ERRORS_MAX = 20

/** What is wrong with a payload, by its schema; the server looks again. Interpreted: no code is made at run time. */
export function payloadErrors(schema: object, payload: unknown): string[] {
  const [valid, errors] = Errors(schema, payload)
  if (valid) return []
  const texts = errors.map(({ instancePath, message }) => `${instancePath || 'payload'} ${message}`)
  return [...new Set(texts)].slice(0, ERRORS_MAX)
}
