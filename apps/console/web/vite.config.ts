import { defineConfig } from 'vite'

/** Assets carry a hash of their content in their names: the server lets them be cached for ever. */
export default defineConfig({
  build: {
    target: 'es2022',
    // Data URLs are what the page's Content-Security-Policy does not allow.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  server: { host: '127.0.0.1', proxy: { '/api': 'http://127.0.0.1:8090' } },
})
