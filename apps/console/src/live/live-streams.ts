import type { ServerResponse } from 'node:http'
import type { LiveEnd, Snapshot } from '../api.ts'
import { ApiFailure } from '../http/api-failure.ts'
import type { Session } from '../sessions.ts'
import type { Collector } from './collector.ts'

export const STREAMS_MAX = 100
export const STREAMS_PER_USER_MAX = 10
/** What may wait for a browser that does not read: some minutes of snapshots, or one history. */
const QUEUED_BYTES_MAX = 4_194_304

export interface LiveStreamsOptions {
  readonly collector: Collector
  readonly isOpen: (session: Session) => boolean
}

interface Stream {
  readonly session: Session
  end(reason: LiveEnd['reason']): void
}

/** Tabs that look: server-sent events, bounded in number per user and in total, and in bytes each. */
export class LiveStreams {
  readonly #options: LiveStreamsOptions
  readonly #streams = new Set<Stream>()

  constructor(options: LiveStreamsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#streams.size
  }

  /** @throws {ApiFailure} where there are as many as there may be. */
  admit(session: Session): void {
    const theirs = [...this.#streams].filter((stream) => stream.session.user === session.user)
    if (this.#streams.size >= STREAMS_MAX || theirs.length >= STREAMS_PER_USER_MAX)
      throw new ApiFailure('too_many_requests', 'too many tabs are open')
  }

  /** Sends the history, then each snapshot, until either side ends it. The response's head has been written. */
  open(session: Session, response: ServerResponse): void {
    const { collector, isOpen } = this.#options
    const stream: Stream = {
      session,
      end: (reason) => {
        send(response, 'end', { reason })
        response.end()
        forget()
      },
    }
    const signedOut = () => stream.end('signed_out')
    const forget = () => {
      if (!this.#streams.delete(stream)) return
      stop()
      session.ended.delete(signedOut)
    }
    const stop = collector.look((snapshot: Snapshot) => {
      if (!isOpen(session)) return
      if (response.writableLength > QUEUED_BYTES_MAX) {
        forget()
        response.destroy()
        return
      }
      send(response, 'snapshot', snapshot)
    })
    this.#streams.add(stream)
    session.ended.add(signedOut)
    response.on('close', forget)
    response.on('error', forget)
    response.write('retry: 2000\n\n')
    send(response, 'history', collector.history.columns())
  }

  end(): void {
    for (const stream of [...this.#streams]) stream.end('shutting_down')
  }
}

function send(response: ServerResponse, event: string, data: object): void {
  if (!response.writableEnded && !response.destroyed)
    response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
}
