/**
 * The core and the two clients that need nothing besides. The others have entries of their own, so that a bundle
 * holds what it uses.
 */

export * from './auction/index.ts'
export * from './core/index.ts'
export * from './quote/index.ts'
