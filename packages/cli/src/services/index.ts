import type { ServiceInfo } from '../service-info.ts'
import { auction } from './auction.ts'
import { campus } from './campus.ts'
import { console } from './console.ts'
import { discovery } from './discovery.ts'
import { im } from './im.ts'
import { imMessages } from './im-messages.ts'
import { quote } from './quote.ts'
import { voice } from './voice.ts'

/** Every service, in the order in which `npm start` shows them. */
export const services: readonly ServiceInfo[] = [
  discovery,
  auction,
  voice,
  quote,
  im,
  imMessages,
  campus,
  console,
]

/** A service by its name or its alias. */
export function findService(text: string): ServiceInfo | undefined {
  return services.find(({ name, alias }) => name === text || alias === text)
}
