export * from '../core/index.ts'
export * from './auction.ts'
export {
  AuctionClient,
  type AuctionEvents,
  type FollowOptions,
  type SubscribeOptions,
} from './auction-client.ts'
