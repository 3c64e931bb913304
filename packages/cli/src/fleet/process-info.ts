import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'

export interface ProcessInfo {
  readonly parentPid: number
  readonly commandLine: string
}

/**
 * What a process is, or undefined where there is none (any more). A process id alone proves nothing: it may have
 * been given to another program since it was written down.
 */
export function processInfo(pid: number): ProcessInfo | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined
  try {
    const info = existsSync('/proc/self/stat') ? fromProc(pid) : fromPs(pid)
    // A process that has ended and was not waited for has no command line.
    return info.commandLine === '' ? undefined : info
  } catch {
    return undefined
  }
}

function fromProc(pid: number): ProcessInfo {
  // The name in parentheses may hold anything: fields are counted from its end.
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const [, parentPid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const commandLine = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
  return { parentPid: Number(parentPid), commandLine }
}

function fromPs(pid: number): ProcessInfo {
  const text = execFileSync('ps', ['-o', 'ppid=,command=', '-p', String(pid)], { encoding: 'utf8' })
  const [, parentPid, commandLine = ''] = /^\s*(\d+)\s+(.*)$/m.exec(text) ?? []
  return { parentPid: Number(parentPid), commandLine }
}
