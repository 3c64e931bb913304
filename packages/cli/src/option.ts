import { ToolError, USAGE } from './tool-error.ts'

/** An option's whole number above 0. @throws {ToolError} for anything else. */
export function positiveInteger(flag: string, text: string | undefined): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new ToolError(`${flag} must be a whole number above 0, not ${text}`, USAGE)
}
