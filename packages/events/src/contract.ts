import { auction, auctionStream } from './auction.ts'
import { audit, auditStream } from './audit.ts'
import { campus, campusDevicesBucket, campusLiveBucket, campusOutboxStream } from './campus.ts'
import type { EventChannel } from './channel.ts'
import { control } from './control.ts'
import { discovery } from './discovery.ts'
import { im } from './im.ts'
import { imDevice } from './im-device.ts'
import { quote, quoteStream } from './quote.ts'
import { auctionSettings, commonSettings, quoteSettings, type Setting, settingsBucket } from './settings.ts'
import type { BucketDefinition, StreamDefinition } from './storage.ts'
import {
  voice,
  voiceEventsStream,
  voiceEvictionStream,
  voiceLeases,
  voiceRooms,
  voiceUsers,
  voiceWorkStream,
} from './voice/index.ts'

/** Everything that is public on NATS, in one place: the published contract is generated from this. */
export interface Contract {
  readonly domains: Readonly<Record<string, Readonly<Record<string, EventChannel>>>>
  readonly streams: readonly StreamDefinition[]
  readonly buckets: readonly BucketDefinition<unknown>[]
  readonly settings: Readonly<Record<string, readonly Setting<unknown>[]>>
}

// A channel of one payload is not assignable to a channel of unknown: its encode takes less.
const anyChannels = (channels: object) => channels as Readonly<Record<string, EventChannel>>
const anyBuckets = (...buckets: object[]) => buckets as BucketDefinition<unknown>[]
const anySettings = (settings: object) => Object.values(settings) as Setting<unknown>[]

export const contract: Contract = {
  domains: {
    auction: anyChannels(auction),
    quote: anyChannels(quote),
    voice: anyChannels(voice),
    im: anyChannels({ ...im, ...imDevice }),
    campus: anyChannels(campus),
    discovery: anyChannels(discovery),
    control: anyChannels(control),
    audit: anyChannels(audit),
  },
  streams: [
    auctionStream,
    quoteStream,
    voiceWorkStream,
    voiceEvictionStream,
    voiceEventsStream,
    campusOutboxStream,
    auditStream,
  ],
  buckets: anyBuckets(
    settingsBucket,
    voiceUsers,
    voiceRooms,
    voiceLeases,
    campusDevicesBucket,
    campusLiveBucket,
  ),
  settings: {
    '<service>': anySettings(commonSettings),
    'auction-push': anySettings(auctionSettings),
    'quote-interact': anySettings(quoteSettings),
  },
}
