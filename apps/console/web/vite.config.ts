import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { defineConfig, type Plugin } from 'vite'

/** Beside each file its compressed forms: the server sends them as they are. */
function compressed(): Plugin {
  return {
    name: 'compressed',
    generateBundle: {
      order: 'post',
      handler(_options, bundle) {
        for (const file of Object.values(bundle)) {
          const source = Buffer.from(file.type === 'chunk' ? file.code : file.source)
          const gzip = gzipSync(source, { level: 9 })
          const brotli = brotliCompressSync(source, {
            params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY },
          })
          this.emitFile({ type: 'asset', fileName: `${file.fileName}.gz`, source: gzip })
          this.emitFile({ type: 'asset', fileName: `${file.fileName}.br`, source: brotli })
        }
      },
    },
  }
}

/** Assets carry a hash of their content in their names: the server lets them be cached for ever. */
export default defineConfig({
  plugins: [compressed()],
  build: {
    target: 'es2022',
    // Styles and scripts from data URLs are what the page's Content-Security-Policy does not allow.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  server: { host: '127.0.0.1', proxy: { '/api': 'http://127.0.0.1:8090' } },
})
