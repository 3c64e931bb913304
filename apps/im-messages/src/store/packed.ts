import { type RawBuilder, sql } from 'kysely'

/**
 * Many byte strings as one parameter, which drivers send as it is, where an array of them would travel as
 * hexadecimal text. In SQL the i-th one is `substr(blob, from[i], length[i])`.
 */
export function pack(items: readonly Uint8Array[]) {
  const from: number[] = []
  const length: number[] = []
  let at = 1
  for (const item of items) {
    from.push(at)
    length.push(item.length)
    at += item.length
  }
  return { blob: Buffer.concat(items), from, length }
}

/** Array parameters with their types, which the server could not guess. */
export const textArray = (values: readonly string[]): RawBuilder<string[]> => sql`${values}::text[]`
export const bigintArray = (values: readonly (number | null)[]): RawBuilder<number[]> =>
  sql`${values}::bigint[]`
export const intArray = (values: readonly number[]): RawBuilder<number[]> => sql`${values}::int[]`
