/** The events of campus-socketio, as its PROTOCOL.md tells them. */

type Body = Readonly<Record<string, unknown>>

export interface Ack {
  /** true: the event has arrived; anything else is a rejection. */
  readonly ack: boolean
  readonly [field: string]: unknown
}

export interface MediaNotifications {
  readonly show_type: 'normal' | 'high_priority'
  readonly ended_at: string
  readonly notifications: readonly {
    readonly type: 'image' | 'webview'
    readonly url: string
    readonly duration: number
  }[]
}

/** What a device is sent, by the event's name. Unknown fields are kept. */
export interface DeviceEvents {
  readonly media_notifications: MediaNotifications
  readonly text_notifications: {
    readonly notifications: readonly { readonly content: string }[]
    readonly ended_at: string
  }
  readonly media_stop: { readonly stop: true }
  readonly text_stop: { readonly stop: true }
  readonly unbind_class: { readonly unbind: true }
  readonly bind_class: { readonly id: string | number; readonly name?: string }
  readonly unbind_school: { readonly unbind: true }
  readonly bind_school: { readonly id: string | number; readonly name: string }
  readonly update_power_schedule: { readonly power_schedule: readonly Body[] }
  readonly restart_device: { readonly restart: true }
  readonly device_status: Body
  readonly upgrade_watcher: { readonly upgrade_url: string; readonly version: string }
  readonly memos_unread: { readonly updated_at: unknown }
  readonly purge_face_data: Body
  readonly face_data_count: Body
  readonly app_log_upload: { readonly batch: unknown }
  readonly system_log_upload: { readonly batch: unknown }
  readonly enable_remote_cmd: { readonly room: string }
  readonly disable_remote_cmd: { readonly room: string }
  readonly 'class:update': Body
}

/**
 * By the event's name: what handles it, and is the answer. Without a value it is `{ack: true}`. One that fails, or is
 * not there, is `{ack: false}`: durable events come again.
 */
export type DeviceHandlers = {
  readonly [E in keyof DeviceEvents]?: (body: DeviceEvents[E]) => Ack | undefined | Promise<Ack | undefined>
}

/** What comes to everybody in a room: `memos_update`, `memos_read`, `remote_cmd` and `cmd_result`. */
export interface RoomEvent {
  readonly event: string
  readonly body: Body
}

/** By close code, which comes in the event `connection:close`: does the client connect again? */
export const campusCloseCodes = {
  1011: true,
  1012: true,
  1013: true,
  4401: false,
  4403: false,
  4404: false,
  4405: false,
  4408: true,
  4409: false,
  4429: false,
}

/** `base64(serial_no:device_key)`, of which both are ASCII. */
export const deviceSignature = (serialNo: string, deviceKey: string): string =>
  btoa(`${serialNo}:${deviceKey}`)
