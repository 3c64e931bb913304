/** No message of the contract comes near it. */
const LEVELS_MAX = 100

/** Whether arrays and objects stand in each other no deeper than `JSON.stringify` has stack for, wherever it is called. */
export function isNestedWithin(value: unknown, levels = LEVELS_MAX): boolean {
  if (typeof value !== 'object' || value === null) return true
  return levels > 0 && Object.values(value).every((each) => isNestedWithin(each, levels - 1))
}
