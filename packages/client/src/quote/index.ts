export * from '../core/index.ts'
export * from './quote.ts'
export { QuoteClient, type QuoteEvents, type QuoteOptions } from './quote-client.ts'
