/** A Markdown table, padded as editors do it. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [headings, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')))
  const widths = headings.map((_, column) =>
    Math.max(3, ...cells.map((row) => [...(row[column] ?? '')].length)),
  )
  const line = (row: readonly string[]) =>
    `| ${widths.map((width, column) => row[column] + ' '.repeat(width - [...(row[column] ?? '')].length)).join(' | ')} |`
  const [head, ...body] = cells
  const rule = widths.map((width) => '-'.repeat(width))
  return [line(head ?? []), line(rule), ...body.map(line)].join('\n')
}

/** Replaces what stands between a section's two markers in a page. @throws where the page has no such section. */
export function replaceSection(page: string, section: string, text: string): string {
  const [begin, end] = [`<!-- ${section}: made by npm run docs -->`, `<!-- end of ${section} -->`]
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`the page has no section ${section}`)
  return `${page.slice(0, from + begin.length)}\n\n${text}\n\n${page.slice(to)}`
}
