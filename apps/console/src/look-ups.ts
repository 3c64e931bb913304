import { type Bus, NoResponders, RequestTimeout } from '@carillon/bus'
import { campus, control, gatewayServices, im, voice } from '@carillon/events'
import type { Conversation, Device, Room, TopicFollowers, UserConnections } from './api.ts'
import { ApiFailure } from './http/api-failure.ts'
import type { Fleet } from './live/fleet.ts'

/** Longer than the message service waits for its database. */
const CONVERSATION_MS = 12_000

/** Questions to the services. @throws {ApiFailure} where nobody answers, or the answer is that there is nothing */
export class LookUps {
  readonly #bus: Bus
  readonly #fleet: Fleet
  readonly #monotonic: () => number

  constructor(bus: Bus, fleet: Fleet, monotonic: () => number) {
    this.#bus = bus
    this.#fleet = fleet
    this.#monotonic = monotonic
  }

  async connections(user_id: string): Promise<UserConnections> {
    const services = await Promise.all(
      gatewayServices.map(async (service) => {
        const answers = await this.#bus.requestMany(control.connections, { service }, { user_id })
        const instances = answers.map(({ instance_id, count, connections = [] }) => ({
          instance_id,
          count,
          connections,
        }))
        return { service, instances, unanswered: this.#unanswered(service, instances) }
      }),
    )
    return { user_id, services }
  }

  async followers(service: string, topic: string): Promise<TopicFollowers> {
    const answers = await this.#bus.requestMany(control.followers, { service }, { topic })
    const instances = answers.map(({ instance_id, followers, user_ids }) => ({
      instance_id,
      followers,
      user_ids,
    }))
    return { service, topic, instances, unanswered: this.#unanswered(service, instances) }
  }

  async room(channel_name: string, next: string | undefined): Promise<Room> {
    const query = { channel_name, ...(next !== undefined && { next }) }
    return content(await answered(this.#bus.request(voice.room_state, {}, query), 'voice-room-ws'))
  }

  async device(serial_no: string): Promise<Device> {
    return content(
      await answered(this.#bus.request(campus.device_state, {}, { serial_no }), 'campus-socketio'),
    )
  }

  async conversation(conv_id: string, after: string | undefined): Promise<Conversation> {
    const query = { convId: conv_id, ...(after !== undefined && { after }) }
    const asked = this.#bus.request(im.convGet, {}, query, { timeoutMs: CONVERSATION_MS })
    const {
      maxSeq = '0',
      memberCount = 0,
      members = [],
      next,
    } = content(await answered(asked, 'im-messages'))
    return {
      conv_id,
      max_seq: maxSeq,
      member_count: memberCount,
      members: members.map(({ userId, minSeq }) => ({ user_id: userId, joined_seq: minSeq })),
      ...(next !== undefined && { next }),
    }
  }

  /** Instances that are live as far as is known, and did not answer: there may be more than what is shown. */
  #unanswered(service: string, answers: readonly { readonly instance_id: string }[]): string[] {
    const heard = new Set(answers.map(({ instance_id }) => instance_id))
    return this.#fleet.idsOf(service, this.#monotonic()).filter((id) => !heard.has(id))
  }
}

async function answered<T>(asked: Promise<T>, service: string): Promise<T> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof NoResponders)
      throw new ApiFailure('unavailable', `no instance of ${service} answers`)
    if (error instanceof RequestTimeout)
      throw new ApiFailure('unavailable', `${service} did not answer in time`)
    throw error
  }
}

/** An answer without its outcome. */
function content<T extends { readonly error_code: number; readonly error_reason: string }>(
  answer: T,
): Omit<T, 'error_code' | 'error_reason'> {
  const { error_code, error_reason, ...rest } = answer
  if (error_code !== 0) throw new ApiFailure('not_found', error_reason)
  return rest
}
