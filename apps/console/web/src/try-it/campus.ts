import {
  CampusDevice,
  type DeviceEvents,
  type DeviceHandlers,
  deviceSignature,
} from '@carillon/client/campus'
import { credentialsFor } from './credentials.ts'
import { type TryProtocol, textField, watch } from './protocol.ts'

const events: readonly (keyof DeviceEvents)[] = [
  'media_notifications',
  'text_notifications',
  'media_stop',
  'text_stop',
  'unbind_class',
  'bind_class',
  'unbind_school',
  'bind_school',
  'update_power_schedule',
  'restart_device',
  'device_status',
  'upgrade_watcher',
  'memos_unread',
  'purge_face_data',
  'face_data_count',
  'app_log_upload',
  'system_log_upload',
  'enable_remote_cmd',
  'disable_remote_cmd',
  'class:update',
]

export const campus: TryProtocol = {
  userLabel: 'Serial number',
  exampleUser: 'AC4178234415',
  fields: [textField('room', 'memos_3600')],
  actions: ['Join room', 'Leave room'],
  open(user, watcher) {
    const credentials = credentialsFor('campus', user)
    // Every event is acknowledged, as by a device that has done what it was told.
    const handler = (event: string) => () => {
      watcher.note(`acknowledged: ${event}`)
      return { ack: true }
    }
    const client = new CampusDevice({
      endpoint: async () => (await credentials()).base_url,
      signature: async () => {
        const { serial_no, device_key } = await credentials()
        return deviceSignature(serial_no, device_key)
      },
      handlers: Object.fromEntries(events.map((event) => [event, handler(event)])) as DeviceHandlers,
    })
    watch(client, watcher)
    return {
      actions: {
        'Join room': ({ room = '' }) => client.join(room),
        'Leave room': ({ room = '' }) => client.leave(room),
      },
      close: () => client.close(),
    }
  },
}
