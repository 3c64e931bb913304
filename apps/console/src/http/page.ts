import { existsSync } from 'node:fs'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'
import { ApiFailure } from './api-failure.ts'

/** Where the page is built to, if it has been built. */
export function builtPage(): string | undefined {
  try {
    const folder = fileURLToPath(new URL('dist', import.meta.resolve('@carillon/console-web/package.json')))
    return existsSync(join(folder, 'index.html')) ? folder : undefined
  } catch {
    return undefined
  }
}

/** The built page: assets, which have a hash of their content in their names, are kept by browsers for ever. */
export function addPage(http: FastifyInstance, folder: string | undefined): void {
  if (folder === undefined) {
    http.get('/', async () => {
      throw new ApiFailure('not_found', 'the page has not been built: npx turbo run build')
    })
    return
  }
  const assets = join(folder, 'assets') + sep
  void http.register(fastifyStatic, {
    root: folder,
    preCompressed: true,
    wildcard: false,
    cacheControl: false,
    setHeaders(reply, path) {
      reply.setHeader(
        'cache-control',
        path.startsWith(assets) ? 'public, max-age=31536000, immutable' : 'no-cache',
      )
    },
  })
}
