import { constants, openSync, writeSync } from 'node:fs'
import { isatty } from 'node:tty'

/** What may wait for whoever reads the log. Beyond it, lines are dropped and counted. */
const PENDING_BYTES_MAX = 1_048_576
/** A pipe holds 64 KiB: a reader that is quick must not be kept waiting, one that does not read costs little. */
const RETRY_MIN_MS = 5
const RETRY_MAX_MS = 200

interface Entry {
  bytes: Buffer
  /** Lines that were dropped before it, which it says. */
  readonly missing: number
}

/**
 * Where log lines go. Writing never blocks and never fails: a reader that is slow delays the lines, up to a bound
 * in bytes; a reader that is gone and a disk that is full lose them. How many were lost is counted, and said in
 * the log before the next line.
 */
export class LogDestination {
  readonly #fd: number
  readonly #pendingBytesMax: number
  readonly #dropNotice: (lines: number) => string
  #pending: Entry[] = []
  #pendingBytes = 0
  #retry: NodeJS.Timeout | undefined
  #retryMs = RETRY_MIN_MS
  #dropped = 0
  #droppedUnreported = 0
  #partial = false
  #lineIsOpen = false

  /**
   * @param fd a descriptor that does not block, see {@link nonBlocking}.
   * @param dropNotice the line that says how many lines are missing at this place.
   */
  constructor(fd: number, dropNotice: (lines: number) => string, pendingBytesMax = PENDING_BYTES_MAX) {
    this.#fd = fd
    this.#dropNotice = dropNotice
    this.#pendingBytesMax = pendingBytesMax
  }

  /** Lines that were lost so far. */
  get dropped(): number {
    return this.#dropped
  }

  /** Bytes that wait to be written. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  write(line: string): void {
    if (this.#pendingBytes + Buffer.byteLength(line) > this.#pendingBytesMax) {
      this.#dropped += 1
      this.#droppedUnreported += 1
      return
    }
    const notice = this.#droppedUnreported > 0 ? this.#dropNotice(this.#droppedUnreported) : ''
    // A line that an error cut off has no end yet.
    const bytes = Buffer.from(`${this.#lineIsOpen ? '\n' : ''}${notice}${line}`)
    this.#pending.push({ bytes, missing: this.#droppedUnreported })
    this.#pendingBytes += bytes.length
    this.#droppedUnreported = 0
    this.#lineIsOpen = false
    // With something waiting, the next attempt is the timer's: a flood of lines costs no system calls.
    if (this.#retry === undefined) this.flushSync()
  }

  /** The same as {@link flushSync}, under the name by which a logger calls it. */
  flush(done?: () => void): void {
    this.flushSync()
    done?.()
  }

  /** Writes what can be written at this moment. */
  flushSync(): void {
    let next = 0
    try {
      while (next < this.#pending.length) {
        const entry = this.#pending[next] as Entry
        const written = writeSync(this.#fd, entry.bytes)
        this.#pendingBytes -= written
        this.#partial = written < entry.bytes.length
        if (this.#partial) entry.bytes = entry.bytes.subarray(written)
        else next += 1
        this.#retryMs = RETRY_MIN_MS
      }
      this.#pending = []
    } catch (error) {
      this.#pending.splice(0, next)
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') this.#scheduleRetry()
      else this.#dropPending()
    }
  }

  /** Nobody reads any more, or the disk is full: what waits is lost, and the next line is tried again. */
  #dropPending(): void {
    this.#lineIsOpen ||= this.#partial
    this.#partial = false
    this.#dropped += this.#pending.length
    for (const { missing } of this.#pending) this.#droppedUnreported += missing + 1
    this.#pending = []
    this.#pendingBytes = 0
  }

  #scheduleRetry(): void {
    if (this.#retry !== undefined) return
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      this.flushSync()
    }, this.#retryMs).unref()
    this.#retryMs = Math.min(RETRY_MAX_MS, this.#retryMs * 2)
  }
}

/**
 * A descriptor for the same file as `fd` on which a write answers EAGAIN where it would block. Regular files and
 * devices stay as they are: they do not block.
 */
export function nonBlocking(fd: 1 | 2): number {
  if (isatty(fd)) return reopened(fd)
  // Node makes a pipe or a socket non-blocking when it opens its stream, which it does when it is first asked for.
  void (fd === 1 ? process.stdout : process.stderr)
  return fd
}

/** A terminal's descriptor is shared with the shell, so its mode must stay; opening it anew gives one of our own. */
function reopened(fd: number): number {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch {
    return fd
  }
}
