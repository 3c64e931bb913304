import { readFileSync } from 'node:fs'

/**
 * How many files and sockets this process may have open, or undefined where the system does not tell (elsewhere
 * than on Linux) or sets no limit. Node has raised its own limit as far as it may by the time this is read.
 */
export function openFilesMax(): number | undefined {
  try {
    return parseOpenFilesMax(readFileSync('/proc/self/limits', 'utf8'))
  } catch {
    return undefined
  }
}

/** Reads the soft limit out of a text such as `/proc/self/limits`. */
export function parseOpenFilesMax(limits: string): number | undefined {
  const soft = /^Max open files\s+(\d+)\s/m.exec(limits)?.[1]
  return soft === undefined ? undefined : Number(soft)
}
