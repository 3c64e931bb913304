import { type Bus, RevisionMismatch } from '@carillon/bus'
import { contract, isGatewayService, observedServices, type Setting, settingsBucket } from '@carillon/events'
import type { SettingChange, SettingChanged, SettingState, Settings } from '../api.ts'
import { ApiFailure } from '../http/api-failure.ts'
import type { Fleet } from '../live/fleet.ts'
import { plainSchema } from './json-schema.ts'

interface Defined {
  readonly service: string
  readonly setting: Setting<unknown>
}

/** Of services that nobody connects to, the number of connections is no setting. */
const hasSetting = (service: string, { name }: Setting<unknown>) =>
  name !== 'max_connections' || isGatewayService(service)

/** Every setting that there is, by its key in the bucket: the contract's definitions. */
const defined: ReadonlyMap<string, Defined> = new Map(
  observedServices.flatMap((service) =>
    [...(contract.settings['<service>'] ?? []), ...(contract.settings[service] ?? [])]
      .filter((setting) => hasSetting(service, setting))
      .map((setting) => [`${service}.${setting.name}`, { service, setting }] as const),
  ),
)

/** Live settings as they are stored, and as instances run with them. */
export class SettingsBoard {
  readonly #bus: Bus
  readonly #fleet: Fleet
  readonly #monotonic: () => number

  constructor(bus: Bus, fleet: Fleet, monotonic: () => number) {
    this.#bus = bus
    this.#fleet = fleet
    this.#monotonic = monotonic
  }

  async read(): Promise<Settings> {
    const bucket = this.#bus.bucket(settingsBucket)
    const settings = await Promise.all(
      [...defined].map(async ([key, { service, setting }]): Promise<SettingState> => {
        const entry = await bucket.find(key)
        return {
          key,
          service,
          summary: setting.summary,
          schema: plainSchema(setting.value.schema),
          ...(entry && 'value' in entry && { value: entry.value }),
          revision: entry?.revision ?? 0,
          effective: this.#effective(service, setting.name),
        }
      }),
    )
    return { settings }
  }

  /** @throws {ApiFailure} for a key that is none, a value out of its bounds, or a revision that is not the last */
  check({ key, value }: SettingChange): void {
    const found = defined.get(key)
    if (found === undefined) throw new ApiFailure('not_found', 'there is no such setting')
    if (value === null) return
    const checked = found.setting.value.check(value)
    if (!checked.ok) throw new ApiFailure('bad_request', checked.reason)
  }

  /** Writes what has been checked. @throws {ApiFailure} */
  async change({ key, value, revision }: SettingChange): Promise<SettingChanged> {
    const bucket = this.#bus.bucket(settingsBucket)
    try {
      if (value === null) {
        await bucket.delete(key, revision === undefined ? {} : { revision })
        return { key, revision: 0 }
      }
      if (revision === undefined) return { key, revision: await bucket.put(key, value) }
      const written = revision === 0 ? bucket.create(key, value) : bucket.update(key, value, revision)
      return { key, revision: await written }
    } catch (error) {
      if (!(error instanceof RevisionMismatch)) throw error
      throw new ApiFailure('conflict', 'somebody else has changed this setting meanwhile')
    }
  }

  #effective(service: string, name: string): SettingState['effective'] {
    const counts = new Map<string, number>()
    for (const settings of this.#fleet.settingsOf(service, this.#monotonic())) {
      if (!Object.hasOwn(settings, name)) continue
      const text = JSON.stringify(settings[name])
      counts.set(text, (counts.get(text) ?? 0) + 1)
    }
    return [...counts].map(([text, instances]) => ({ value: JSON.parse(text), instances }))
  }
}
