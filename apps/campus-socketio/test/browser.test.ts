import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import type { Bus } from '@carillon/bus'
import { campus } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Browser, chromium } from 'playwright-core'
import { bootCampus, type CampusService, connectInternal, urlOf } from './campus.ts'
import { type ClientVersion, clientVersions, type TransportName, transports } from './clients.ts'

const executablePath = process.env.CHROMIUM
const describeBrowser = executablePath ? describe : describe.skip

let nats: NatsServer
let service: CampusService
let internal: Bus
let pages: Server
let browser: Browser | undefined
beforeAll(async () => {
  nats = await NatsServer.start()
  // The page's own origin, which is another one than the service's.
  pages = createServer(async (request, response) => {
    const version = request.url?.slice(1) as ClientVersion
    const path = resolve(
      import.meta.dirname,
      '../node_modules',
      clientVersions[version] ?? '',
      'dist/socket.io.js',
    )
    const script = await readFile(path, 'utf8').catch(() => '')
    response.setHeader('Content-Type', 'text/html; charset=utf-8')
    response.end(`<div id="message"></div><script>${script.replaceAll('</script', '<\\/script')}</script>`)
  })
  await new Promise<void>((done) => pages.listen(0, '127.0.0.1', done))
  service = await bootCampus(nats, { CAMPUS_CORS_ORIGINS: originOfPages() })
  internal = await connectInternal(nats)
  await internal.request(campus.device_put, {}, { serial_no: 'sn12345678', device_key: 'abcdef' })
  if (executablePath) {
    const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync']
    browser = await chromium.launch({ executablePath, args })
  }
})
afterAll(async () => {
  await browser?.close()
  pages?.close()
  pages?.closeAllConnections()
  await internal?.stop()
  await service?.stop()
  await nats?.stop()
})

const originOfPages = () => `http://127.0.0.1:${(pages.address() as AddressInfo).port}`

const combinations = (Object.keys(clientVersions) as ClientVersion[]).flatMap((version) =>
  (Object.keys(transports) as TransportName[]).map((transport) => [version, transport] as const),
)

describeBrowser('in a browser, from another origin, with credentials', () => {
  test.each(combinations)(
    'client %s over %s',
    async (version, transport) => {
      if (browser === undefined) throw new Error('there is no browser')
      const page = await browser.newPage()
      const problems: string[] = []
      page.on('console', (message) => message.type() === 'error' && problems.push(message.text()))
      page.on('pageerror', (error) => problems.push(String(error)))
      await page.goto(`${originOfPages()}/${version}`)
      // The document's example; `withCredentials` is what clients of 1.x and 2.x do unasked.
      await page.evaluate(`
    var said = [];
    var console = { log: function (line) { said.push(line) } };
    var socket = io('${urlOf(service)}', {
      path: "/socket/socket.io", transports: ${JSON.stringify(transports[transport])}, withCredentials: true
    });

    socket.on('connect', function () {
      socket.emit('authentication', { signature: 'c24xMjM0NTY3ODphYmNkZWY=' });
    });
    socket.on('auth:ok', function () {
      console.log("authentication ok");
    });
    socket.on('auth:fail', function (data) {
      console.log(data.error_msg);
    });
    socket.on('class:update', function (data, callback) {
      console.log(data);
      callback({"ack": true});
      document.getElementById('message').innerHTML = data;
    })
    socket.on('join_room:ok', function () { said.push('joined') });
    socket.on('memos_update', function (data) { said.push(data) });`)
      const said = () => page.evaluate('said') as Promise<unknown[]>
      await eventually(async () => (await said()).length === 1, 20_000)
      expect(await said()).toEqual(['authentication ok'])
      if (transport === 'upgrade')
        await eventually(async () => (await page.evaluate('socket.io.engine.transport.name')) === 'websocket')

      const push = internal.request(
        campus.device,
        { serialNo: 'sn12345678', event: 'class:update' },
        { class: '初三1班' },
      )
      expect(await push).toEqual({ status: 'acked', response: { ack: true } })
      await page.evaluate(`socket.emit('join_room', { "room": "bp_student_101" })`)
      await eventually(async () => (await said()).includes('joined'))
      internal.publish(campus.room, { room: 'bp_student_101', event: 'memos_update' }, { memo_id: 20 })
      await eventually(async () => (await said()).length === 4)
      expect((await said()).slice(1)).toEqual([{ class: '初三1班' }, 'joined', { memo_id: 20 }])
      expect(problems).toEqual([])
      await page.close()
    },
    60_000,
  )
})
