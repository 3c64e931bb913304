import { Client, type ClientOptions, type ConnectionEvents } from '../core/client.ts'
import { ClientError, messageOf } from '../core/errors.ts'
import { EventStream, type StreamOptions } from '../core/event-stream.ts'
import { isObject } from '../core/json.ts'
import type { WebSocketLike } from '../core/web-socket.ts'
import { type Ack, campusCloseCodes, type DeviceHandlers, type RoomEvent } from './campus.ts'
import { type Acknowledge, SocketIoConnection } from './socket-io.ts'

export interface CampusOptions extends Omit<ClientOptions, 'token' | 'WebSocket' | 'sendBufferBytesMax'> {
  /**
   * Whose device it is, asked for anew at each attempt: see `deviceSignature`. Web clients and mini programs, which only
   * join rooms, have none.
   */
  readonly signature?: () => string | Promise<string>
  readonly handlers?: DeviceHandlers
}

export interface JoinOptions {
  /** Where the server wants one; asked for anew after each reconnect. */
  readonly ticket?: () => string | Promise<string>
}

export interface CampusEvents extends ConnectionEvents {
  readonly room: RoomEvent
}

interface Room extends JoinOptions {
  readonly name: string
  /** Those who wait to be let in. */
  readonly waiting: Set<(error?: ClientError) => void>
}

interface Command {
  readonly event: string
  settle(error?: ClientError): void
}

/** By the command: what its answers are called, where that is not its own name. */
const answers: Readonly<Record<string, string>> = { authentication: 'auth' }
const ANSWER_TIMEOUT_MS = 20_000

/** A class board, or another client of its rooms: authenticates, answers events, and joins its rooms again. */
export class CampusDevice extends Client<CampusEvents> {
  readonly #options: CampusOptions
  readonly #rooms = new Map<string, Room>()
  readonly #streams = new Set<EventStream<RoomEvent>>()
  /** Commands are answered in their order. */
  #unanswered: Command[] = []
  #signature = ''

  constructor(options: CampusOptions) {
    super(
      { ...options, token: options.signature ?? (() => '') },
      { service: 'campus', closeCodes: campusCloseCodes },
    )
    this.#options = options
  }

  /**
   * Joins a room, and joins it again after each reconnect; settles when the server has let it in.
   * @throws {ClientError} `refused` with the server's reason, or `closed`
   */
  join(name: string, options: JoinOptions = {}): Promise<void> {
    const waiting = this.#rooms.get(name)?.waiting ?? new Set()
    const room: Room = { ...options, name, waiting }
    this.#rooms.set(name, room)
    return new Promise((resolve, reject) => {
      waiting.add((error) => (error ? reject(error) : resolve()))
      if (this.state.type === 'open') void this.#join(room)
    })
  }

  /** Leaves a room; without a connection it is in none. @throws {ClientError} `refused` */
  async leave(name: string): Promise<void> {
    this.#rooms.delete(name)
    if (this.state.type === 'open') await this.#command('leave_room', { room: name })
  }

  /** The result of a remote command, for everybody else in the device's own room. @throws {ClientError} `not_connected` */
  sendResult(result: string): void {
    this.send(JSON.stringify(['cmd_result', { result }]))
  }

  /** Events of the rooms, for a `for await` loop. */
  roomEvents(options: StreamOptions = {}): EventStream<RoomEvent> {
    const stream: EventStream<RoomEvent> = new EventStream(options, () => void this.#streams.delete(stream))
    this.#streams.add(stream)
    return stream
  }

  protected override createSocket(url: string): WebSocketLike {
    return new SocketIoConnection(url, (...heard) => this.#heard(...heard))
  }

  protected override url(base: string, signature: string): string {
    this.#signature = signature
    return base.replace(/^ws/, 'http')
  }

  protected override opened(): void {
    this.#unanswered = []
    if (this.#options.signature === undefined) return this.#authenticated()
    this.#command('authentication', { signature: this.#signature }).then(
      () => this.#authenticated(),
      // Whether it is the signature or the service, only the text says: the next attempt asks for a new one, later.
      (error: ClientError) => {
        this.fail(error.code, error.message)
        this.drop(1013, error.message)
      },
    )
  }

  protected override lost(): void {
    for (const { settle } of this.#unanswered.splice(0))
      settle(new ClientError('not_connected', 'the connection is lost'))
  }

  protected override ended(error: ClientError | undefined): void {
    for (const stream of [...this.#streams]) stream.end(error)
    for (const room of this.#rooms.values())
      this.#settle(room, new ClientError('closed', 'the client is closed'))
  }

  /** Frames come through {@link SocketIoConnection}. */
  protected override received(): void {}

  #authenticated(): void {
    this.ready()
    for (const room of this.#rooms.values()) void this.#join(room)
  }

  async #join(room: Room): Promise<void> {
    const { name, waiting } = room
    try {
      const ticket = await room.ticket?.()
      await this.#command('join_room', { room: name, ...(ticket !== undefined && { ticket }) })
      this.#settle(room)
    } catch (error) {
      const failure =
        error instanceof ClientError ? error : new ClientError('token_unavailable', messageOf(error))
      // The next connection joins it.
      if (failure.code === 'not_connected') return
      if (waiting.size === 0) this.fail(failure.code, `${name}: ${failure.message}`)
      if (this.#rooms.get(name) === room) this.#rooms.delete(name)
      this.#settle(room, failure)
    }
  }

  #settle({ waiting }: Room, error?: ClientError): void {
    for (const settle of waiting) settle(error)
    waiting.clear()
  }

  #command(event: string, body: object): Promise<void> {
    return new Promise((resolve, reject) => {
      this.send(JSON.stringify([event, body]))
      const settle = (error?: ClientError) => {
        clearTimeout(timer)
        if (error) reject(error)
        else resolve()
      }
      this.#unanswered.push({ event, settle })
      // A server that answers nothing is not there.
      const timer = setTimeout(() => this.drop(1006, `${event} was not answered`), ANSWER_TIMEOUT_MS)
    })
  }

  #heard(event: string, body: unknown, acknowledge: Acknowledge | undefined): void {
    const [, command, outcome] = /^(\w+):(ok|fail)$/.exec(event) ?? []
    const reason = isObject(body) ? String(body.error_msg) : ''
    const [first] = this.#unanswered
    if (command !== undefined && first !== undefined && (answers[first.event] ?? first.event) === command) {
      const error = outcome === 'fail' ? new ClientError('refused', reason) : undefined
      return this.#unanswered.shift()?.settle(error)
    }
    if (outcome === 'fail') return this.fail('refused', `${command}: ${reason}`)
    if (acknowledge) return void this.#handle(event, body).then(acknowledge)
    if (!isObject(body)) return this.fail('malformed_frame', `${event} has no object`)
    const roomEvent = { event, body }
    this.emit('room', roomEvent)
    for (const stream of [...this.#streams]) stream.push(roomEvent)
  }

  async #handle(event: string, body: unknown): Promise<Ack> {
    const handlers = this.#options.handlers ?? {}
    try {
      if (!Object.hasOwn(handlers, event)) throw new Error('there is no handler')
      const handle = handlers[event as keyof DeviceHandlers] as (body: unknown) => Ack | undefined
      return (await handle(body)) ?? { ack: true }
    } catch (error) {
      this.fail('handler_failed', `${event}: ${messageOf(error)}`)
      return { ack: false }
    }
  }
}
