import { CampusDevice, deviceSignature } from '@carillon/client/campus'
import { campus } from '@carillon/events'
import { eventually } from '@carillon/testkit'
import { connectionOptions, countSessions } from './library-client.ts'
import type { Traffic, TrafficOptions } from './traffic.ts'

const KEY = 'key'
const PUBLISH_MS = 2_000
const SETTLE_MS = 60_000
const EVENT = 'bind_class'

/** One device, which comes back to wherever discovery sends it. */
class Board {
  readonly serialNo: string
  published = 0
  acked = 0
  readonly #options: TrafficOptions
  readonly #device: CampusDevice
  /** Closes it; that is not counted. */
  readonly stop: () => void

  constructor(serialNo: string, options: TrafficOptions) {
    this.serialNo = serialNo
    this.#options = options
    const { WebSocket: _, ...connection } = connectionOptions(options)
    this.#device = new CampusDevice({
      ...connection,
      signature: () => deviceSignature(serialNo, KEY),
      handlers: {
        [EVENT]: ({ id }) => {
          this.acked = Math.max(this.acked, Number(id))
          return { ack: true }
        },
      },
    })
    this.stop = countSessions(this.#device, serialNo, options.sessions)
  }

  connect(): Promise<void> {
    return this.#device.connect()
  }

  async publish(): Promise<void> {
    const n = this.published + 1
    const at = { serialNo: this.serialNo, event: EVENT }
    await this.#options.bus.publishStored(campus.outbox, at, { id: n })
    this.published = n
  }
}

/** Class boards; of the durable events that are published to each, the last one is acknowledged in the end. */
export function campusTraffic(options: TrafficOptions): Traffic {
  const { clients, bus, sessions, random } = options
  const boards = Array.from({ length: clients }, (_, i) => new Board(`ROLLOUT${i}`, options))
  let publishing: Promise<unknown>[] = []
  let timer: NodeJS.Timeout | undefined
  return {
    async start() {
      for (const { serialNo } of boards) {
        await eventually(async () => {
          await bus.request(campus.device_put, {}, { serial_no: serialNo, device_key: KEY })
          return true
        })
      }
      await Promise.all(boards.map((board) => board.connect()))
      await eventually(() => sessions.connected === clients, 60_000)
      timer = setInterval(() => {
        publishing = boards.flatMap((board) => (random() < 0.5 ? [board.publish().catch(() => {})] : []))
      }, PUBLISH_MS)
    },
    async finish() {
      clearInterval(timer)
      await Promise.all(publishing)
      for (const board of boards) await board.publish()
      const behind = () => boards.filter(({ acked, published }) => acked < published)
      await eventually(() => behind().length === 0, SETTLE_MS).catch(() => {})
      const lost = behind().map(
        ({ serialNo, acked, published }) => `${serialNo} has ${acked} of ${published}`,
      )
      return {
        expected: boards.reduce((sum, { published }) => sum + published, 0),
        missed: lost.length,
        broken: lost.slice(0, 5),
      }
    },
    stop() {
      clearInterval(timer)
      for (const board of boards) board.stop()
    },
  }
}
