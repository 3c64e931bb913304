import { randomBytes } from 'node:crypto'
import { ProtocolError } from '@carillon/codec'
import type { VoiceAction } from '@carillon/events'
import type { Topics } from '@carillon/fanout'
import type { Connection, Handler, Identity } from '@carillon/gateway'
import type { Clock, TimingWheel } from '@carillon/service'
import { traceClient } from '@carillon/tracing'
import type { VoiceConfig } from './config.ts'
import type { Connections, Member } from './connections.ts'
import type { Directory } from './directory.ts'
import { Heartbeat, type StallDetector } from './heartbeat.ts'
import { reports as noticesReported } from './notice.ts'
import type { Peers } from './peers.ts'
import type { Presence } from './presence.ts'
import { closeCodes, parseCommand, tokenFrame } from './protocol.ts'
import type { Reports } from './reports.ts'
import { type Effect, openSession, type Session, step } from './session.ts'
import { channelsOf } from './user.ts'

/** A user by a verified sid. Its time is checked at each frame, not by a timer: see PROTOCOL.md. */
export interface SidIdentity extends Identity {
  readonly sid: string
  readonly sidExpiresAtMs: number | undefined
}

export interface ClientsOptions {
  readonly config: VoiceConfig
  readonly clock: Clock
  readonly wheel: TimingWheel
  readonly stall: StallDetector
  readonly connections: Connections
  readonly directory: Directory
  readonly presence: Presence
  readonly peers: Peers
  readonly reports: Reports
  readonly topics: Topics
  readonly pinged: () => void
}

/** The clients of this instance: frame → command → session → effects. */
export class Clients {
  readonly #options: ClientsOptions

  constructor(options: ClientsOptions) {
    this.#options = options
  }

  /** Takes a connection whose sid was accepted. */
  open(connection: Connection, { userId, sid, sidExpiresAtMs }: SidIdentity): Handler {
    const { config, clock, wheel, stall, connections, directory, presence, peers } = this.#options
    const onlineToken = randomBytes(16).toString('hex')
    let session: Session = openSession({ userId, sid, sidExpiresAtMs, onlineToken })
    const predecessor = directory.get(userId)?.record.session?.connection
    const { member, replaced } = connections.add(userId, connection, predecessor)
    const heartbeat = new Heartbeat(wheel, clock, stall, config.heartbeatTimeoutMs, () => {
      member.reason = 'heartbeat_timeout'
      connection.close(closeCodes.idle)
      // A client that is gone does not answer the close frame: its time is over now.
      end()
    })
    const end = () => {
      if (member.ended) return
      member.ended = true
      member.handedOver = connection.closeCode === closeCodes.draining.code
      heartbeat.stop()
      this.setChannels(member, [])
      for (const attempt of member.deliveries.end()) peers.tell(attempt, 'gone')
      void presence.left(member)
    }
    const sendToken = () => {
      if (!member.ended) connection.send(tokenFrame(onlineToken, config.pingIntervalS))
    }
    // The token promises that the connection is the user's: it follows when that is stored, or cannot be for now.
    void stall
      .caughtUp()
      .then(() => presence.register(member))
      .then(() => {
        // Only now, so that a notice which the older one does not report finds the newer one. Also where it could not
        // be stored: nothing would end the older one later.
        replaced?.connection.close(closeCodes.replaced)
        sendToken()
      })
    return {
      text: (frame) => {
        const record = directory.get(userId)?.record
        const channels = record === undefined ? [] : channelsOf(record)
        const [next, effects] = step(session, parse(frame), config, { nowMs: clock.now(), channels })
        session = next
        for (const effect of effects) this.#perform(effect, member, heartbeat)
      },
      closed: end,
      subscriptions: () => member.channels,
    }
  }

  /** The member gets the broadcasts of these channels, and of no others. */
  setChannels(member: Member, channels: readonly string[]): void {
    const { topics } = this.#options
    const { outbox } = member.connection
    for (const channel of member.channels)
      if (!channels.includes(channel)) topics.unsubscribe(channel, outbox)
    for (const channel of channels) if (!member.channels.includes(channel)) topics.subscribe(channel, outbox)
    member.channels = channels
  }

  #perform(effect: Effect, member: Member, heartbeat: Heartbeat): void {
    const { peers, reports, pinged } = this.#options
    switch (effect.type) {
      case 'heartbeat':
        pinged()
        return heartbeat.beat()
      case 'report': {
        const { action, userId: user_id, channelName: channel_name, timestampMs: timestamp } = effect
        const attempt = member.deliveries.reported(noticesReported[action] as VoiceAction, user_id)
        if (attempt) peers.tell(attempt, 'reported')
        const reporter_id = member.userId
        return traceClient(`report ${action}`, () =>
          reports.publish({ action, user_id, reporter_id, channel_name, timestamp }),
        )
      }
      case 'refuse':
        return member.connection.refuse(effect.error)
      case 'close':
        return member.connection.close(closeCodes.refusals)
      default:
        effect satisfies never
    }
  }
}

/** A frame as a command, or what is wrong with it. */
function parse(frame: string) {
  try {
    return parseCommand(frame)
  } catch (error) {
    if (error instanceof ProtocolError) return error
    throw error
  }
}
