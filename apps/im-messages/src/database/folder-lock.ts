import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { link, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { StartError } from '@carillon/service'

/** Another process uses the folder; the message says which, and what to do. */
export class FolderInUse extends StartError {}

interface Holder {
  readonly pid: number
  /** When the process began, in its system's own measure: pids come again, and a pid with its beginning does not. */
  readonly began: string
  readonly host: string
}

/** The holder shows that it lives by touching the lock this often; it is looked at from other hosts alone. */
const TOUCH_INTERVAL_MS = 5_000
const SILENCE_MAX_MS = 30_000
const ATTEMPTS = 20
const LOCK = /^lock\.(\d{1,15})$/

/**
 * A folder that one process at a time may use. The holder is named by the lock file of the highest number, and a lock
 * is only ever taken by making the next one, which the file system lets one process do: between seeing that a holder
 * is gone and taking its place nothing can be taken from anybody. A lock outlives a holder that was killed; whether a
 * holder on this host lives is asked of the system, on another host (a shared volume) it is seen from the file's time.
 */
export class FolderLock {
  readonly #path: string
  readonly #touch: NodeJS.Timeout

  private constructor(path: string) {
    this.#path = path
    this.#touch = setInterval(() => {
      const now = new Date()
      utimes(path, now, now).catch(() => {})
    }, TOUCH_INTERVAL_MS)
    this.#touch.unref()
  }

  /** @throws {FolderInUse} */
  static async take(folder: string): Promise<FolderLock> {
    // Written whole under another name first: nobody ever reads half a lock.
    const own = join(folder, `lock-${process.pid}-${randomBytes(4).toString('hex')}`)
    const holder: Holder = { pid: process.pid, began: beginning(process.pid) ?? '', host: hostname() }
    await writeFile(own, JSON.stringify(holder))
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const last = Math.max(0, ...(await numbers(folder)))
        await refuseIfHeld(folder, pathOf(folder, last))
        const path = pathOf(folder, last + 1)
        try {
          await link(own, path)
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
          continue
        }
        const all = await numbers(folder)
        if (Math.max(...all) === last + 1) {
          await Promise.all(
            all.filter((each) => each <= last).map((each) => rm(pathOf(folder, each), { force: true })),
          )
          return new FolderLock(path)
        }
        // The list was read while others took the lock and cleared up: this number had been in use before.
        await rm(path, { force: true })
      }
      throw new FolderInUse(`${folder} could not be locked: other processes keep taking its lock`)
    } finally {
      await rm(own, { force: true })
    }
  }

  /** The file stays, without a holder: a number that was used never comes again. */
  async release(): Promise<void> {
    clearInterval(this.#touch)
    const released = `${this.#path}-${randomBytes(4).toString('hex')}`
    await writeFile(released, '{}')
    await rename(released, this.#path)
  }
}

function pathOf(folder: string, number: number): string {
  return join(folder, `lock.${number}`)
}

async function numbers(folder: string): Promise<number[]> {
  return (await readdir(folder)).flatMap((name) => {
    const number = LOCK.exec(name)?.[1]
    return number === undefined ? [] : [Number(number)]
  })
}

/** @throws {FolderInUse} if the lock's holder lives. */
async function refuseIfHeld(folder: string, path: string): Promise<void> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  const holder = text === undefined ? undefined : parse(text)
  if (holder === undefined || !(await lives(holder, path))) return
  const where = holder.host === hostname() ? '' : ` on ${holder.host}`
  throw new FolderInUse(
    `${folder} is in use by process ${holder.pid}${where}: an embedded database belongs to one process. Stop that ` +
      'process, set CARILLON_HOME to another folder, or set IM_DATABASE_URL to a PostgreSQL that several can share.',
  )
}

function parse(text: string): Holder | undefined {
  try {
    const { pid, began, host } = JSON.parse(text) as Partial<Holder>
    if (typeof pid === 'number' && typeof began === 'string' && typeof host === 'string') {
      return { pid, began, host }
    }
  } catch {
    // Written by something else, or cut off when the disk was full.
  }
  return undefined
}

async function lives(holder: Holder, path: string): Promise<boolean> {
  if (holder.host !== hostname()) {
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: 0 }))
    return Date.now() - mtimeMs < SILENCE_MAX_MS
  }
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    // EPERM: it lives, under another user.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  const began = beginning(holder.pid)
  return began === undefined || holder.began === '' || began === holder.began
}

/** Field 22 of /proc/<pid>/stat: when the process started; undefined where the system has no such file. */
function beginning(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the program's name in parentheses, which may hold spaces.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
