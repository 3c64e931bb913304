import type { Audit, Channels, Settings, UserConnections } from '../../src/api.ts'

/** What a hostile client or publisher may have chosen for each of its names. */
export const hostile = `<img src=x onerror="window.attacked=1"><script>window.attacked=1</script>'"\u202e`

const now = Date.now()

const connections: UserConnections = {
  user_id: hostile,
  services: [
    {
      service: 'auction-push',
      instances: [
        {
          instance_id: 'auction-push-007000001',
          count: 2,
          connections: [1, 2].map((number) => ({
            id: `c${number}`,
            user_id: hostile,
            device_id: hostile,
            opened_at: now - number * 90_000,
            remote_address: '192.0.2.7',
            bytes_in: 120 * number,
            bytes_out: 70_000 * number,
            queued_bytes: 0,
            subscriptions: number === 1 ? ['auction.3607.bid', hostile] : ['a', 'b', 'c', 'd', hostile],
          })),
        },
      ],
      unanswered: ['auction-push-lost'],
    },
  ],
}

const settings: Settings = {
  settings: [
    {
      key: 'auction-push.idle_timeout_ms',
      service: 'auction-push',
      summary: 'Silence from a client after which its connection is closed',
      schema: { type: 'integer', minimum: 1_000, maximum: 86_400_000 },
      value: 30_000,
      revision: 3,
      effective: [
        { value: 30_000, instances: 2 },
        { value: 60_000, instances: 1 },
      ],
    },
    {
      key: 'auction-push.log_level',
      service: 'auction-push',
      summary: 'What is logged',
      schema: { anyOf: [{ const: 'debug' }, { const: 'info' }, { const: 'warn' }] },
      revision: 0,
      effective: [{ value: 'info', instances: 3 }],
    },
  ],
}

const channels: Channels = {
  channels: [
    {
      id: 'auction.bid',
      domain: 'auction',
      summary: 'A user has bid',
      pattern: 'auction.{auctionId}.bid',
      params: ['auctionId'],
      schema: {
        type: 'object',
        required: ['amount', 'nickName', 'avatar', 'userId', 'auctionId'],
        properties: {
          amount: { type: 'integer' },
          nickName: { type: 'string' },
          avatar: { type: 'string' },
          userId: { type: 'integer' },
          auctionId: { type: 'integer' },
        },
      },
      kind: 'stored',
      headers: [],
      example: { amount: 1_320_000, nickName: 'Ann', avatar: '', userId: 3600, auctionId: 3607 },
      example_params: { auctionId: '3607' },
    },
    {
      id: 'voice.room',
      domain: 'voice',
      summary: 'A notice for a room',
      pattern: 'voice.room.{channelName}.{action}',
      params: ['channelName', 'action'],
      schema: { type: 'object' },
      variants: {
        param: 'action',
        schemas: {
          send_gift: {
            type: 'object',
            required: ['user_id'],
            properties: { user_id: { type: 'string' }, gifts: { type: 'array', items: { type: 'string' } } },
          },
          room_notice: { type: 'object', required: ['text'], properties: { text: { type: 'string' } } },
        },
      },
      kind: 'request',
      headers: [
        { name: 'Carillon-Delivery', summary: 'how it is delivered', values: ['relay', 'broadcast'] },
      ],
      example: { user_id: '3600' },
      example_params: { channelName: 'lobby', action: 'send_gift' },
    },
  ],
}

const audit: Audit = {
  before: 12,
  entries: [
    {
      sequence: 14,
      at: now - 20_000,
      user: 'ann',
      role: 'operator',
      remote_address: '127.0.0.1',
      act: 'disconnect',
      target: { user_id: hostile, service: 'auction-push', closed: 2 },
      result: 'done',
      act_id: 'b1',
      instance_id: 'console-1',
    },
    {
      sequence: 13,
      at: now - 20_010,
      user: hostile,
      role: 'none',
      remote_address: '203.0.113.9',
      act: 'sign_in',
      target: {},
      result: 'refused',
      detail: hostile,
      act_id: 'b0',
      instance_id: 'console-1',
    },
  ],
}

/** By path for questions, by method and path for acts. */
export const fakeAnswers = (): Record<string, unknown> => ({
  '/api/connections': connections,
  '/api/settings': settings,
  '/api/channels': channels,
  '/api/audit': audit,
  '/api/rooms': {
    channel_name: hostile,
    member_count: 2,
    members: [
      { user_id: hostile, online: true, room_seat: { seat: hostile } },
      { user_id: '3601', online: false, room_seat: null },
    ],
  },
  '/api/devices': {
    serial_no: 'AC4178234415',
    registered: true,
    online: true,
    since: now - 60_000,
    instance_id: 'campus-socketio-1',
    class_id: 7,
    pending: [{ event: hostile, published_at: now - 9_000, expires_at: now + 90_000 }],
  },
  '/api/conversations': {
    conv_id: hostile,
    max_seq: '9007199254740993',
    member_count: 2,
    members: [{ user_id: hostile, joined_seq: '1' }],
  },
  '/api/followers': {
    service: 'auction-push',
    topic: hostile,
    instances: [{ instance_id: 'auction-push-1', followers: 2, user_ids: ['3600', hostile] }],
    unanswered: [],
  },
  'POST /api/disconnect': { closed: 2, instances: [] },
  'POST /api/publish': { subject: `auction.3607.${hostile}`, sequence: 7, answer: { error: hostile } },
  'PUT /api/settings': { key: 'auction-push.idle_timeout_ms', revision: 4 },
})
