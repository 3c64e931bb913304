import { describe, expect, test } from '@jest/globals'
import { campus } from './campus.ts'
import { type CampusEventName, campusEvents, campusEventsFor, isCampusEvent } from './campus-events.ts'
import type { Result } from './payload.ts'

const bytes = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
const subject = (channel: string, event: string) => `campus.${channel}.sn1.${event.replace(':', '%3A')}`
type Decoder = { decode(subject: string, bytes: Uint8Array): Result<unknown> }
const reason = (subject: string, value: unknown, channel: Decoder = campus.device) => {
  const decoded = channel.decode(subject, bytes(value))
  return decoded.ok ? 'ok' : decoded.reason
}

/** The bodies that the protocol's document prints. */
const documented: Readonly<Record<CampusEventName, unknown>> = {
  media_notifications: {
    show_type: 'high_priority',
    ended_at: '2016-10-25T18:15:17+08:00',
    notifications: [
      { type: 'image', url: 'https://cdn.adachina.net/b.jpg', duration: 3600 },
      { type: 'webview', url: 'https://bp.adachina.net/webviews/1', duration: 3600 },
    ],
  },
  text_notifications: {
    notifications: [{ content: '滚动通知1' }, { content: '滚动通知2' }, { content: '滚动通知3' }],
    ended_at: '2016-10-25T18:15:17+08:00',
  },
  media_stop: { stop: true },
  text_stop: { stop: true },
  unbind_class: { unbind: true },
  bind_class: { id: 1, name: '初三1班' },
  unbind_school: { unbind: true },
  bind_school: { id: 1, name: 'xx中学' },
  update_power_schedule: {
    power_schedule: [
      {
        shutdown_wday: 5,
        startup_wday: 6,
        shutdown_at: '2017-02-24T23:52:00+08:00',
        startup_at: '2017-02-25T23:57:00+08:00',
      },
    ],
  },
  restart_device: { restart: true },
  device_status: '',
  upgrade_watcher: { upgrade_url: 'http://....', version: '1.0.0.1' },
  memos_unread: { updated_at: '2018-01-01T09:00' },
  memos_update: { memo_id: 20 },
  memos_read: { memo_ids: [20, 22, 24] },
  purge_face_data: '',
  face_data_count: '',
  app_log_upload: { batch: '29be12dcdac6739aec8c86f7fad8fbf6' },
  system_log_upload: { batch: '29be12dcdac6739aec8c86f7fad8fbf6' },
  enable_remote_cmd: { room: 'AC4178234415' },
  disable_remote_cmd: { room: 'AC4178234415' },
  remote_cmd: { encrypted_cmd: 'a.b.c' },
  cmd_result: { result: 'ok' },
  'class:update': { any: 'thing' },
}

describe('every event of the document', () => {
  test('is there, and no other', () => {
    expect(Object.keys(campusEvents)).toEqual(Object.keys(documented))
    expect(Object.keys(campusEvents)).toHaveLength(23 + 1)
  })

  test.each(campusEventsFor('device'))('%s is pushed to a device, at once or when it comes', (name) => {
    expect(reason(subject('device', name), documented[name])).toBe('ok')
    expect(reason(subject('outbox', name), documented[name], campus.outbox)).toBe('ok')
    expect(reason(subject('room', name), documented[name], campus.room)).toMatch('not for a room')
  })

  test.each(campusEventsFor('room'))('%s goes to a room', (name) => {
    expect(reason(`campus.room.bp_student_11.${name}`, documented[name], campus.room)).toBe('ok')
    expect(reason(subject('device', name), documented[name])).toMatch('not for a device')
  })
})

test('unknown fields and the spacing of the publisher are kept', () => {
  const raw = '{ "stop" : true, "by": 12345678901234567890 }'
  const decoded = campus.device.decode('campus.device.sn1.media_stop', bytes(raw))
  expect(decoded.ok && Buffer.from(decoded.value.bytes).toString()).toBe(raw)
})

test('no payload is the empty object', () => {
  const decoded = campus.device.decode('campus.device.sn1.device_status', new Uint8Array())
  expect(decoded.ok && Buffer.from(decoded.value.bytes).toString()).toBe('{}')
})

test.each([
  ['media_stop', { stop: false }],
  ['media_stop', ''],
  ['media_stop', 'x'],
  ['media_stop', '[]'],
  ['media_stop', 'null'],
  ['bind_school', { id: '1', name: 'x' }],
  ['memos_unread', {}],
  ['constructor', {}],
  ['__proto__', {}],
  ['nothing', {}],
])('%s with %j is refused', (name, body) => {
  expect(reason(subject('device', name), body)).not.toBe('ok')
})

test('events are own names', () => {
  expect(isCampusEvent('toString')).toBe(false)
  expect(isCampusEvent('media_stop')).toBe(true)
})
