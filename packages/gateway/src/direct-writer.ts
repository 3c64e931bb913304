import { createRequire } from 'node:module'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/*
 * The shortest way from a prepared frame to the kernel: `send(2)` on the socket's own descriptor, called through
 * koffi. It leaves out the stream's bookkeeping, a request object and libuv, which together are a tenth to a fifth of what
 * writing one small frame costs. That is sound because
 *  - it is done only while nothing waits in the stream, so that bytes keep their order,
 *  - it never blocks, and what the kernel does not take goes on through the stream,
 *  - errors are left to the stream, which meets them at its own write or read, and
 *  - the descriptor is read from the live handle at each write: once the handle is closed there is none, and a number
 *    that the system gives to another connection is never used for this one.
 * test/direct-writer.test.ts holds all of it.
 */

/** From Linux's socket.h; other systems have other numbers. */
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL

/** Answers how many bytes were taken, or a negative number. */
export type Send = (fd: number, bytes: Uint8Array, length: number, flags: number) => number

/** The inside of a `net.Socket`: `fd` is negative once the handle is closed. */
interface Handle {
  readonly fd: number
}
type WithHandle = { readonly _handle?: Handle | null }

export interface SendSource {
  readonly platform: NodeJS.Platform
  readonly require: (name: string) => unknown
}

/** `send(2)`, or undefined where the system is another one or the optional library cannot be loaded. */
export function loadSend(
  { platform, require }: SendSource = { platform: process.platform, require: createRequire(import.meta.url) },
): Send | undefined {
  if (platform !== 'linux') return undefined
  try {
    const koffi = require('koffi') as typeof import('koffi')
    return koffi
      .load(null)
      .func('intptr_t send(int fd, const uint8_t *bytes, size_t length, int flags)') as Send
  } catch {
    return undefined
  }
}

/** Writes to plain TCP sockets past their streams. */
export class DirectWriter {
  readonly #send: Send
  #whole = 0
  #refused = 0

  constructor(send: Send) {
    this.#send = send
  }

  /** Writes that the kernel took whole. */
  get whole(): number {
    return this.#whole
  }

  /** Writes of which the kernel took a part or nothing. */
  get refused(): number {
    return this.#refused
  }

  /** Whether a socket is one that can be written to directly: nothing between its stream and TCP. */
  static fits(socket: Duplex): boolean {
    if (!(socket instanceof Socket)) return false
    // A TLS socket has a descriptor too, but its handle encrypts what goes there.
    const handle = (socket as WithHandle)._handle
    return handle?.constructor.name === 'TCP' && typeof handle.fd === 'number'
  }

  /** Answers how many bytes the kernel has taken: the rest is the stream's. For sockets that {@link fits} accepts. */
  write(socket: Duplex, bytes: Uint8Array): number {
    // What waits goes first; a stream that was ended, destroyed or has failed takes nothing.
    if (socket.writableLength > 0 || !socket.writable) return 0
    const fd = (socket as WithHandle)._handle?.fd ?? -1
    if (fd < 0) return 0
    const { length } = bytes
    const taken = this.#send(fd, bytes, length, FLAGS)
    if (taken === length) {
      this.#whole += 1
      return taken
    }
    this.#refused += 1
    return Math.max(0, taken)
  }
}
