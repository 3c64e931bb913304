/**
 * A text without halves of surrogate pairs, which JSON may hold and UTF-8 may not: most protobuf implementations
 * cannot read a message with one. Each becomes the replacement character.
 */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\uFFFD')
}
