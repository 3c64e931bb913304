import { constants, openSync, writeSync } from 'node:fs'
import { isatty } from 'node:tty'

/** What may wait for whoever reads the log. Beyond it, lines are dropped and counted. */
const PENDING_BYTES_MAX = 1_048_576
const RETRY_MS = 100

/**
 * Where log lines go. Writing never blocks and never fails: a reader that is slow delays the lines, up to a bound
 * in bytes; a reader that is gone and a disk that is full lose them. How many were lost is counted, and said in
 * the log as soon as it can be written again.
 */
export class LogDestination {
  readonly #fd: number
  readonly #pendingBytesMax: number
  readonly #dropNotice: (lines: number) => string
  readonly #pending: Buffer[] = []
  #pendingBytes = 0
  #retry: NodeJS.Timeout | undefined
  #dropped = 0
  #droppedUnsaid = 0
  #partial = false
  #torn = false

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
    // A line that an error cut off has no end yet.
    const bytes = Buffer.from(this.#torn ? `\n${line}` : line)
    if (this.#pendingBytes + bytes.length > this.#pendingBytesMax) return this.#drop(1)
    this.#torn = false
    this.#push(bytes)
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
    while (this.#pending.length > 0) {
      const bytes = this.#pending[0] as Buffer
      try {
        const written = writeSync(this.#fd, bytes)
        this.#pendingBytes -= written
        this.#partial = written < bytes.length
        if (this.#partial) this.#pending[0] = bytes.subarray(written)
        else this.#pending.shift()
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EAGAIN') break
        // Nobody reads any more, or the disk is full: what waits is lost, and the next line is tried again.
        this.#torn ||= this.#partial
        this.#partial = false
        this.#drop(this.#pending.length)
        this.#pending.length = 0
        this.#pendingBytes = 0
        return
      }
      if (this.#pending.length === 0) this.#sayWhatWasDropped()
    }
    this.#scheduleRetry()
  }

  #push(bytes: Buffer): void {
    this.#pending.push(bytes)
    this.#pendingBytes += bytes.length
  }

  #drop(lines: number): void {
    this.#dropped += lines
    this.#droppedUnsaid += lines
  }

  #sayWhatWasDropped(): void {
    if (this.#droppedUnsaid === 0) return
    const notice = this.#dropNotice(this.#droppedUnsaid)
    this.#droppedUnsaid = 0
    this.#push(Buffer.from(notice))
  }

  #scheduleRetry(): void {
    if (this.#pending.length === 0 || this.#retry !== undefined) return
    this.#retry = setTimeout(() => {
      this.#retry = undefined
      this.flushSync()
    }, RETRY_MS).unref()
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
