const TOKEN_START = 'eyJ'
/** Of the first part, behind `eyJ`. */
const HEADER_LENGTH_MIN = 4
const REDACTED = '[redacted]'

/**
 * Blots out everything of the shape of a JSON Web Token, wherever it stands in a text. Takes time in proportion to
 * the text, whatever it holds: a regular expression for this goes over a long run of `eyJeyJ…` once for each.
 */
export function redactTokens(text: string): string {
  let at = text.indexOf(TOKEN_START)
  if (at < 0) return text
  let redacted = ''
  let copied = 0
  while (at >= 0) {
    const headerEnd = endOfPart(text, at)
    const payloadEnd = text[headerEnd] === '.' ? endOfPart(text, headerEnd + 1) : headerEnd
    const isToken =
      headerEnd - at >= TOKEN_START.length + HEADER_LENGTH_MIN &&
      payloadEnd > headerEnd + 1 &&
      text[payloadEnd] === '.'
    if (!isToken) {
      // What starts later within this part is shorter and ends at the same place: it is no token either.
      at = text.indexOf(TOKEN_START, headerEnd)
      continue
    }
    const end = endOfPart(text, payloadEnd + 1)
    redacted += text.slice(copied, at) + REDACTED
    copied = end
    at = text.indexOf(TOKEN_START, end)
  }
  return redacted + text.slice(copied)
}

/** Where a run of base64url characters ends. */
function endOfPart(text: string, start: number): number {
  let end = start
  while (isBase64Url(text.charCodeAt(end))) end += 1
  return end
}

function isBase64Url(code: number): boolean {
  return (
    (code >= 48 && code <= 57) ||
    (code >= 65 && code <= 90) ||
    (code >= 97 && code <= 122) ||
    code === 45 ||
    code === 95
  )
}
