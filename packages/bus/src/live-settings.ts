import { type Setting, settingsBucket } from '@carillon/events'
import type { Bus } from './bus.ts'
import { reasonOf } from './errors.ts'

interface Followed {
  readonly setting: Setting<unknown>
  readonly apply: (value: unknown) => void
  readonly defaultValue: unknown
  /** What was applied last. */
  current: unknown
  /** The stored value that was applied last, as JSON. */
  text: string | undefined
}

/** A service's settings that operators change while it runs: the bucket's `<service>.<name>` keys. */
export class LiveSettings {
  readonly #bus: Bus
  readonly #service: string
  readonly #followed = new Map<string, Followed>()
  #stop: (() => void) | undefined

  constructor(bus: Bus, service: string) {
    this.#bus = bus
    this.#service = service
  }

  /**
   * Applies the setting now and at every change; without a stored value the default holds. A bad value is
   * refused and logged, and the old one stays.
   */
  follow<T>(setting: Setting<T>, defaultValue: T, apply: (value: T) => void): void {
    this.#followed.set(`${this.#service}.${setting.name}`, {
      setting: setting as Setting<unknown>,
      text: undefined,
      defaultValue,
      current: defaultValue,
      apply: (value) => apply(value === undefined ? defaultValue : (value as T)),
    })
    apply(defaultValue)
  }

  /** What this process runs with now, by the settings' names. */
  get current(): Record<string, unknown> {
    return Object.fromEntries(
      [...this.#followed.values()].map(({ setting, current }) => [setting.name, current]),
    )
  }

  start(): void {
    const { log } = this.#bus
    const filter = `${this.#service}.>`
    this.#stop = this.#bus.bucket(settingsBucket).watch(
      (change) => {
        const followed = this.#followed.get(change.key)
        if (followed === undefined) return
        const refuse = (reason: string) =>
          log.error({ key: change.key, reason }, 'a setting was refused, the old value stays')
        if ('refused' in change) return refuse(change.refused)
        if (change.value !== undefined) {
          const checked = followed.setting.value.check(change.value)
          if (!checked.ok) return refuse(checked.reason)
        }
        // After a reconnect everything is told again.
        const text = JSON.stringify(change.value)
        if (text === followed.text) return
        followed.text = text
        log.info({ key: change.key, value: change.value ?? null }, 'a setting was changed')
        try {
          followed.apply(change.value)
          followed.current = change.value === undefined ? followed.defaultValue : change.value
        } catch (error) {
          refuse(reasonOf(error))
        }
      },
      { filter },
    )
  }

  stop(): void {
    this.#stop?.()
  }
}
