/** What clients ask for, and the service that answers to it. */
export const catalog = {
  auction: 'auction-push',
  voice: 'voice-room-ws',
  quote: 'quote-interact',
  im: 'im-gateway',
  campus: 'campus-socketio',
} as const

export type ServiceKey = keyof typeof catalog

export const serviceKeys = Object.keys(catalog) as ServiceKey[]

/** Clients that ask for nothing in particular are the voice clients this interface was made for. */
export const DEFAULT_SERVICE: ServiceKey = 'voice'

export function isServiceKey(text: string): text is ServiceKey {
  return Object.hasOwn(catalog, text)
}
