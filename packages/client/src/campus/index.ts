export * from '../core/index.ts'
export {
  type Ack,
  type DeviceEvents,
  type DeviceHandlers,
  deviceSignature,
  type RoomEvent,
} from './campus.ts'
export { CampusDevice, type CampusEvents, type CampusOptions, type JoinOptions } from './campus-device.ts'
