import { auction } from './auction.ts'
import { campus } from './campus.ts'
import type { EventChannel } from './channel.ts'
import { im } from './im.ts'
import { quote } from './quote.ts'
import { voice } from './voice/index.ts'

/** A channel that operators publish on by hand. */
export interface Publishable {
  /** `auction.bid` */
  readonly id: string
  readonly channel: EventChannel
  /** A valid message to begin with. */
  readonly example: { readonly params: Readonly<Record<string, string>>; readonly payload: unknown }
  /** Headers that mean something on this channel. */
  readonly headers?: readonly {
    readonly name: string
    readonly summary: string
    readonly values?: readonly string[]
  }[]
}

const delivery = {
  name: 'Carillon-Delivery',
  summary: 'relay: by one member who confirms it; broadcast: to all at once',
  values: ['relay', 'broadcast'],
}
const expiresAt = {
  name: 'Carillon-Expires-At',
  summary: 'Until when it waits for the device: milliseconds or an RFC 3339 time',
}
const bid = { amount: 1_320_000, nickName: 'Ann', avatar: '', userId: 3600, auctionId: 3607 }
const serialNo = 'AC4178234415'
const market = { eventId: '40789105-e', marketId: '219_33753655' }
const teaMembers = { convId: 'group:tea', members: ['3600', '3601'] }
/** "hello", as base64. */
const hello = 'aGVsbG8='

/** What a channel takes, without the types of its parameters and payload. */
const of = (id: string, channel: object, params: Record<string, string>, payload: unknown) => ({
  id,
  channel: channel as EventChannel,
  example: { params, payload },
})

/** What the services receive from internal services, as far as a person would send it: all of it is JSON. */
export const publishable: readonly Publishable[] = [
  of('auction.bid', auction.bid, { auctionId: '3607' }, bid),
  of(
    'auction.delay_close_time',
    auction.delay_close_time,
    { auctionId: '3607' },
    { auctionId: 3607, closeTime: 1_900_000_000_000 },
  ),
  of(
    'auction.finish',
    auction.finish,
    { auctionId: '3607' },
    { auctionId: 3607, finalPrice: 1_320_000, finalUserId: 3600, orderNo: 'A-1', nickName: 'Ann' },
  ),
  of(
    'auction.enter',
    auction.enter,
    { auctionId: '3607' },
    { auctionId: 3607, userId: 3600, nickName: 'Ann', avatar: '' },
  ),
  of('quote.chloe', quote.chloe, market, [
    { event_id: market.eventId, market_id: market.marketId, product_id: '1', price: '1.61', status: '1' },
  ]),
  of('quote.fancy', quote.fancy, { eventId: '1', marketId: '2' }, [
    { mid: '2', pid: '1', bl: '52', bo: '100', ll: '54', lo: '100', status: '1' },
  ]),
  {
    ...of(
      'voice.room',
      voice.room,
      { channelName: 'lobby', action: 'send_topic_msg' },
      { user_id: 1, nickname: 'Ben', content: 'hello' },
    ),
    headers: [delivery],
  },
  of(
    'voice.user',
    voice.user,
    { userId: '3600', action: 'send_topic_msg' },
    { user_id: 1, nickname: 'Ben', content: 'hello' },
  ),
  of('voice.call_start', voice.call_start, { channelName: 'call-1' }, { user_id: 3600, receiver_id: 3601 }),
  of('voice.call_end', voice.call_end, { channelName: 'call-1' }, {}),
  of('im.convPut', im.convPut, {}, teaMembers),
  of('im.convAddMembers', im.convAddMembers, {}, { convId: 'group:tea', members: ['3602'] }),
  of('im.convRemoveMembers', im.convRemoveMembers, {}, { convId: 'group:tea', members: ['3602'] }),
  of(
    'im.msgSend',
    im.msgSend,
    {},
    {
      msgDataList: [
        {
          convId: 'group:tea',
          senderId: '3600',
          contentType: 1,
          content: hello,
          options: { storageForServer: true, storageForClient: true },
        },
      ],
    },
  ),
  of(
    'im.noticeSend',
    im.noticeSend,
    {},
    {
      userIds: ['3600'],
      notice: { convId: 'notice:system', title: 'Tea is ready', contentType: 1, content: hello, options: {} },
    },
  ),
  of('campus.device', campus.device, { serialNo, event: 'device_status' }, {}),
  {
    ...of('campus.outbox', campus.outbox, { serialNo, event: 'bind_class' }, { id: 1, name: '3-1' }),
    headers: [expiresAt],
  },
  of('campus.room', campus.room, { room: 'hall', event: 'memos_update' }, { memo_id: 1 }),
  of('campus.device_put', campus.device_put, {}, { serial_no: serialNo, device_key: 'abcdef' }),
  of('campus.device_delete', campus.device_delete, {}, { serial_no: serialNo }),
]
