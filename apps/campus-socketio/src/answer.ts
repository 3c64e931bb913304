import { type CampusEventName, campusEvents } from '@carillon/events'
import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'

/** What a device answered to an event. */
export type Answer =
  | { readonly status: 'acked'; readonly response: object }
  | { readonly status: 'rejected'; readonly response: unknown; readonly error: string }

const validators = new Map(
  Object.entries(
    campusEvents as Readonly<Record<string, { readonly response: TSchema | undefined }>>,
  ).flatMap(([name, { response }]) => (response ? [[name, Compile(response)] as const] : [])),
)

/**
 * Reads the arguments of an acknowledgement: the first is an object, or the JSON text of one. An answer that is
 * not what the event asks for is rejected, and so is one too deep to be passed on.
 */
export function parseAnswer(event: CampusEventName, args: readonly unknown[]): Answer {
  const response = typeof args[0] === 'string' ? parseJson(args[0]) : args[0]
  const validator = validators.get(event)
  if (validator === undefined) return reject(`${event} asks for no answer`)
  if (response === undefined) return reject('the answer is neither an object nor JSON text')
  if (!isPrintable(response)) return reject('the answer is nested too deeply')
  if (!validator.Check(response)) {
    const error = validator.Errors(response)[0]
    return { ...reject(`the answer ${error?.instancePath ?? ''} ${error?.message}`), response }
  }
  return { status: 'acked', response: response as object }
}

const reject = (error: string) => ({ status: 'rejected', response: undefined, error }) as const

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** JSON.parse takes any depth, JSON.stringify does not. */
function isPrintable(value: unknown): boolean {
  try {
    JSON.stringify(value)
    return true
  } catch {
    return false
  }
}
