import { setTimeout as sleep } from 'node:timers/promises'
import { NoResponders } from '@carillon/bus'
import { CampusDevice, deviceSignature } from '@carillon/client/campus'
import { type CampusEventName, campus } from '@carillon/events'
import { positiveInteger } from '../../option.ts'
import { baseUrlOf, type DemoContext } from '../../service-info.ts'
import { campus as service } from '../campus.ts'
import { answerTo, handleAll } from './device-client.ts'

type Behaviour = 'well' | 'silent' | 'wrong' | 'restless'

interface DemoDevice {
  readonly serialNo: string
  readonly behaviour: Behaviour
  readonly device: CampusDevice
}

const KEY = 'demo'
const CLASSES = 5

/** Events and the bodies that the demo pushes with them. */
const events: Readonly<Partial<Record<CampusEventName, (now: Date) => object>>> = {
  device_status: () => ({}),
  face_data_count: () => ({}),
  text_notifications: (now) => ({
    notifications: [{ content: `It is ${now.toLocaleTimeString('en')}` }],
    ended_at: new Date(now.getTime() + 3_600_000).toISOString(),
  }),
  memos_unread: (now) => ({ updated_at: now.toISOString() }),
  bind_class: () => ({ id: 1, name: '3-1' }),
}

/** A school whose devices come, go and answer: most of them well, some not at all, some wrongly. */
export async function runCampusDemo({ bus, options, print, signal, random }: DemoContext): Promise<string> {
  const count = positiveInteger('--devices', options.devices)
  const rate = positiveInteger('--rate', options.rate)
  const baseUrl = baseUrlOf(service)
  const devices: DemoDevice[] = []
  const outcomes: Record<string, number> = {}
  const counted = (outcome: string) => {
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  }
  try {
    for (let i = 0; i < count && !signal.aborted; i++) devices.push(await enrol(i))
    print(`${count} devices in ${CLASSES} classes at ${baseUrl}, ${rate} events a second`)
    const startedAt = performance.now()
    let sent = 0
    let reportedAt = startedAt
    while (!signal.aborted) {
      const due = Math.floor(((performance.now() - startedAt) / 1_000) * rate)
      for (; sent < due && bus.connected; sent++) pushSomething()
      for (const device of devices)
        if (device.behaviour === 'restless' && random() < 0.01) toggleConnection(device)
      if (performance.now() - reportedAt > 5_000) {
        reportedAt = performance.now()
        print(summary())
      }
      await sleep(50)
    }
    return summary()
  } finally {
    for (const { device } of devices) device.close()
  }

  async function enrol(index: number): Promise<DemoDevice> {
    const serialNo = `DEMO${String(index).padStart(4, '0')}`
    const class_id = (index % CLASSES) + 1
    await bus.request(campus.device_put, {}, { serial_no: serialNo, device_key: KEY, class_id, school_id: 1 })
    const dice = random()
    const behaviour = dice < 0.8 ? 'well' : dice < 0.87 ? 'restless' : dice < 0.94 ? 'silent' : 'wrong'
    const device = new CampusDevice({
      endpoint: baseUrl,
      signature: () => deviceSignature(serialNo, KEY),
      handlers: handleAll((event) => {
        if (behaviour === 'silent') return new Promise(() => {})
        return behaviour === 'wrong' ? { ack: false } : answerTo(event)
      }),
      reconnect: { maxMs: 2_000 },
    })
    device.connect()
    return { serialNo, behaviour, device }
  }

  /** Every second event is durable. */
  function pushSomething(): void {
    const device = devices[Math.floor(random() * devices.length)]
    const names = Object.keys(events) as CampusEventName[]
    const event = names[Math.floor(random() * names.length)] as CampusEventName
    const body = events[event]?.(new Date()) ?? {}
    if (device === undefined) return
    const { serialNo } = device
    if (random() < 0.5) {
      void bus.publishStored(campus.outbox, { serialNo, event }, body).then(
        () => counted('stored'),
        () => counted('not stored'),
      )
    } else {
      void bus.request(campus.device, { serialNo, event }, body, { timeoutMs: 15_000 }).then(
        ({ status }) => counted(status),
        (error: unknown) => counted(error instanceof NoResponders ? 'not connected' : 'failed'),
      )
    }
  }

  function toggleConnection({ device }: DemoDevice): void {
    if (device.state.type === 'open') device.close()
    else device.connect()
  }

  function summary(): string {
    const connected = devices.filter(({ device }) => device.state.type === 'open').length
    const told = Object.entries(outcomes).map(([outcome, times]) => `${times} ${outcome}`)
    return `${connected} of ${devices.length} devices connected; ${told.join(', ') || 'nothing pushed yet'}`
  }
}
