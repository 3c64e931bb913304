import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Bus } from '@carillon/bus'
import { voice, voiceEventsStream } from '@carillon/events'
import { AppProcess, eventually } from '@carillon/testkit'
import { VoiceUser } from './voice-clients.ts'

export interface VoiceFleetOptions {
  readonly instances: number
  readonly users: number
  readonly rooms: number
  readonly natsServers: 1 | 3
  readonly environment?: NodeJS.ProcessEnv
}

interface Asked {
  readonly room: string
  readonly askedAtMs: number
  answeredAtMs: number | undefined
  tries: number
  /** What the last try came to. */
  failure: string
}

/** How long a publisher waits for an answer before it asks again, with the same id. */
const ASK_AGAIN_MS = 10_000
const ASK_TIMES = 12
/** Where asking fails at once, and how often a lost connection is looked at. */
const ASK_PAUSE_MS = 1_000
const RECONNECT_LOOK_MS = 100
/** So many notices that did not hold are named; the others are counted. */
const NAMED_MAX = 5

/**
 * Instances, users in rooms, publishers; and the model: which users must have been evicted, and how often. It knows
 * nothing of how the service works: it counts what the stream holds and what clients were told.
 */
export class VoiceFleet {
  readonly bus: Bus
  readonly users: readonly VoiceUser[]
  readonly instances: (AppProcess | undefined)[] = []
  readonly asked: Asked[] = []
  readonly #natsUrl: string
  readonly #options: VoiceFleetOptions
  /** What must have happened: evictions by user, and how often a room with somebody left in it was told. */
  readonly #evictions = new Map<string, number>()
  readonly #exits = new Map<string, number>()
  readonly #run = randomUUID().slice(0, 8)
  #publishing: NodeJS.Timeout | undefined

  private constructor(natsUrl: string, options: VoiceFleetOptions) {
    this.#natsUrl = natsUrl
    this.#options = options
    this.bus = new Bus({ url: natsUrl, name: 'chaos', replicas: options.natsServers })
    this.users = Array.from(
      { length: options.users },
      (_, i) => new VoiceUser(`${this.#run}-u${i}`, `${this.#run}-room${i % options.rooms}`),
    )
  }

  static async start(natsUrl: string, options: VoiceFleetOptions): Promise<VoiceFleet> {
    const fleet = new VoiceFleet(natsUrl, options)
    fleet.bus.start()
    await eventually(() => fleet.bus.connected, 30_000)
    for (let i = 0; i < options.instances; i++) await fleet.startInstance(i)
    await fleet.populate()
    return fleet
  }

  async startInstance(index: number): Promise<void> {
    this.instances[index] = await AppProcess.start('voice-room-ws', 'VOICE', {
      NATS_URL: this.#natsUrl,
      NATS_REPLICAS: String(this.#options.natsServers),
      ...this.#options.environment,
    })
  }

  get ports(): readonly number[] {
    return this.instances.flatMap((instance) => instance?.port ?? [])
  }

  /** Connects everybody who is dead, spread over the instances, and puts them into their rooms. */
  async populate(): Promise<void> {
    const dead = this.users.filter((user) => user.dead)
    const { ports } = this
    for (const [i, user] of dead.entries()) user.live(ports[i % ports.length] as number, () => this.ports)
    await eventually(() => this.users.every(({ online }) => online), 60_000)
    for (const { userId, room } of dead) {
      // As a broadcast: it changes the roster, and nobody has to report it.
      await this.#ask(room, 'enter_room', { user_id: userId }, { 'Carillon-Delivery': 'broadcast' })
    }
    await eventually(async () => (await this.#missing()) === 0, 60_000)
  }

  /** Publishes so many notices a second, as requests, until it is stopped. */
  publish(perSecond: number, pick: () => VoiceUser): void {
    this.#publishing = setInterval(() => {
      const { userId, room } = pick()
      const entry: Asked = {
        ...{ room, askedAtMs: performance.now(), answeredAtMs: undefined, tries: 0, failure: '' },
      }
      this.asked.push(entry)
      void this.#ask(room, 'send_topic_msg', { user_id: userId, content: 'hello' }, {}, entry).then(
        () => {
          entry.answeredAtMs = performance.now()
        },
        () => {},
      )
    }, 1_000 / perSecond)
  }

  stopPublishing(): void {
    clearInterval(this.#publishing)
  }

  /** These users are lost, and dead by now: the model expects one eviction of each. */
  expectEvicted(users: readonly VoiceUser[]): void {
    const alive = new Set(this.users.filter(({ dead }) => !dead).map(({ room }) => room))
    for (const { userId, room } of users) {
      this.#evictions.set(userId, (this.#evictions.get(userId) ?? 0) + 1)
      if (alive.has(room)) this.#exits.set(userId, (this.#exits.get(userId) ?? 0) + 1)
    }
  }

  /** What of the model does not hold now. */
  async differences(): Promise<string[]> {
    return [...(await this.evictionDifferences()), ...this.openNotices()]
  }

  /** Of evictions, and of what rooms were told of them. */
  async evictionDifferences(): Promise<string[]> {
    const prefix = voice.evicted.subject({ userId: `${this.#run}-` })
    const counts = await this.bus.stream(voiceEventsStream).counts(voice.evicted.filter())
    const differences: string[] = []
    const ids = new Set(this.users.map(({ userId }) => userId))
    for (const userId of ids) {
      const found = counts.get(voice.evicted.subject({ userId })) ?? 0
      const wanted = this.#evictions.get(userId) ?? 0
      if (found !== wanted) differences.push(`${userId} was evicted ${found} times, must be ${wanted}`)
    }
    for (const subject of counts.keys())
      if (subject.startsWith(prefix) && !ids.has(voice.evicted.parse(subject)?.userId ?? ''))
        differences.push(`${subject}: nobody of ours`)
    const told = new Map<string, number>()
    for (const { exits } of this.users)
      for (const userId of exits) told.set(userId, (told.get(userId) ?? 0) + 1)
    for (const [userId, times] of this.#exits) {
      const found = told.get(userId) ?? 0
      if (found < times) differences.push(`the exit of ${userId} was told ${found} times, must be ${times}`)
    }
    return differences
  }

  /** Notices that nobody was told the outcome of. */
  openNotices(): string[] {
    const open = this.asked.filter(({ answeredAtMs }) => answeredAtMs === undefined)
    if (open.length === 0) return []
    return [`${open.length} notices are neither confirmed nor reported as unconfirmed: ${described(open)}`]
  }

  /**
   * Notices that were answered, but later than they may be: so long after they were published, or after the fault was
   * over for those that it met.
   */
  late(faultOverAtMs: number, withinMs: number): string[] {
    const late = this.asked.filter(
      ({ askedAtMs, answeredAtMs = Number.POSITIVE_INFINITY }) =>
        answeredAtMs - Math.max(askedAtMs, faultOverAtMs) > withinMs,
    )
    return late.length === 0
      ? []
      : [`${late.length} notices were answered later than ${withinMs / 1_000} s: ${described(late)}`]
  }

  async stop(): Promise<void> {
    this.stopPublishing()
    for (const user of this.users) user.die()
    for (const instance of this.instances) instance?.signal('SIGCONT')
    await Promise.all(this.instances.map((instance) => instance?.stop('SIGKILL')))
    await this.bus.stop()
  }

  /** How many users are not in their room, or not online there. */
  async #missing(): Promise<number> {
    let found = 0
    for (const channel_name of new Set(this.users.map(({ room }) => room))) {
      const { members } = await this.bus.request(voice.room_state, {}, { channel_name }, { timeoutMs: 5_000 })
      found += members.filter(({ online }) => online).length
    }
    return this.users.length - found
  }

  /** Asks until there is an answer: the id says that it is one and the same notice. */
  async #ask(
    channelName: string,
    action: string,
    body: object,
    headers: Readonly<Record<string, string>> = {},
    entry: Pick<Asked, 'tries' | 'failure'> = { tries: 0, failure: '' },
  ): Promise<void> {
    const id = randomUUID()
    for (;;) {
      // What is not sent is no try: a server that was killed takes the publisher's connection with it.
      if (!this.bus.connected) {
        await sleep(RECONNECT_LOOK_MS, undefined, { ref: false })
        continue
      }
      entry.tries += 1
      const startedAt = performance.now()
      try {
        await this.bus.request(voice.room, { channelName, action }, body as never, {
          timeoutMs: ASK_AGAIN_MS,
          headers: { ...headers, 'Nats-Msg-Id': id },
        })
        return
      } catch (error) {
        entry.failure = error instanceof Error ? error.message : String(error)
        if (entry.tries >= ASK_TIMES) throw error
        // Nobody listens for a moment, or the connection broke: that is no reason to ask without a pause.
        await sleep(Math.max(0, ASK_PAUSE_MS - (performance.now() - startedAt)), undefined, { ref: false })
      }
    }
  }
}

function described(notices: readonly Asked[]): string {
  const now = performance.now()
  const each = notices
    .slice(0, NAMED_MAX)
    .map(({ room, askedAtMs, answeredAtMs, tries, failure }) =>
      [
        `${room}, published ${((now - askedAtMs) / 1_000).toFixed(1)} s ago`,
        answeredAtMs === undefined
          ? 'no answer'
          : `${((answeredAtMs - askedAtMs) / 1_000).toFixed(1)} s to answer`,
        `tried ${tries} times`,
        ...(failure === '' ? [] : [failure]),
      ].join(', '),
    )
  return each.join('; ')
}
