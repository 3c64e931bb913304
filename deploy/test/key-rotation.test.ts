import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mintSid, signToken } from '@carillon/auth'
import { campusDevicesBucket } from '@carillon/events'
import { eventually, NatsServer, WebSocketClient } from '@carillon/testkit'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { bootAuction } from '../../apps/auction-push/test/auction.ts'
import {
  bootCampus,
  connectInternal,
  registerDevice,
  TestDevice,
} from '../../apps/campus-socketio/test/campus.ts'
import { bootVoice, VoiceClient } from '../../apps/voice-room-ws/test/voice.ts'

const OLD = 'the secret that goes'
const NEW = 'the secret that comes'

let nats: NatsServer
let folder: string
let file: string
beforeAll(async () => {
  nats = await NatsServer.start()
  folder = mkdtempSync(join(tmpdir(), 'carillon-keys-'))
  file = join(folder, 'secrets')
})
beforeEach(() => write(OLD))
afterAll(async () => {
  await nats?.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** As a mounted Secret changes: another file takes the place of this one. */
function write(...secrets: string[]): void {
  writeFileSync(`${file}.next`, secrets.join('\n'))
  renameSync(`${file}.next`, file)
}

function replaceByFolder(): void {
  rmSync(file)
  mkdirSync(file)
}

let lastUser = 0

/** The steps of a rotation; at each of them, whoever should be let in is let in at every attempt. */
async function rotate(isLetIn: (secret: string) => Promise<boolean>): Promise<void> {
  expect(await isLetIn(OLD)).toBe(true)
  expect(await isLetIn(NEW)).toBe(false)
  write(OLD, NEW)
  await eventually(async () => {
    expect(await isLetIn(OLD)).toBe(true)
    return isLetIn(NEW)
  })
  write(NEW, OLD)
  for (let i = 0; i < 5; i++) expect([await isLetIn(OLD), await isLetIn(NEW)]).toEqual([true, true])
  write(NEW)
  await eventually(async () => {
    expect(await isLetIn(NEW)).toBe(true)
    return !(await isLetIn(OLD))
  })
}

test('tokens: two secrets side by side, no restart, and no good token is refused', async () => {
  const service = await bootAuction(nats, { AUTH_HS256_SECRET_FILE: file })
  try {
    const opened = await WebSocketClient.connect(await urlFor(OLD))
    await rotate(async (secret) => {
      const client = await WebSocketClient.connect(await urlFor(secret)).catch(() => undefined)
      client?.close()
      return client !== undefined
    })
    // Who is connected already stays.
    opened.send('{"key":"auction_subscribe","data":{"event":"bid","auctionId":"1"}}')
    expect(await opened.next()).toBe('success')
    opened.close()
  } finally {
    await service.stop()
  }

  async function urlFor(secret: string): Promise<string> {
    const claims = { sub: String(++lastUser), created: Date.now(), exp: Math.floor(Date.now() / 1_000) + 600 }
    return `ws://127.0.0.1:${service.listener.port}/ws/${await signToken(secret, claims)}`
  }
})

test('sids: the same', async () => {
  const service = await bootVoice(nats, { VOICE_SID_SECRET_FILE: file })
  try {
    await rotate(async (secret) => {
      const userId = String(++lastUser)
      const sid = mintSid(secret, userId, Math.floor(Date.now() / 1_000) + 600)
      const client = await VoiceClient.connect(service, userId, sid).catch(() => undefined)
      client?.kill()
      return client !== undefined
    })
  } finally {
    await service.stop()
  }
})

test('device keys: what is stored under the old secret is found, and stored under the new one', async () => {
  const service = await bootCampus(nats, { CAMPUS_DEVICE_KEY_SECRET_FILE: file })
  const internal = await connectInternal(nats)
  try {
    const stored = async (serialNo: string) =>
      (await internal.bucket(campusDevicesBucket).get(serialNo))?.value.key_hash
    const comes = async (serialNo: string) => (await TestDevice.connect(service, serialNo)).close()
    await registerDevice(internal, 'AC1')
    const before = await stored('AC1')
    await comes('AC1')
    expect(await stored('AC1')).toBe(before)
    write(NEW, OLD)
    await eventually(async () => {
      await comes('AC1')
      return (await stored('AC1')) !== before
    })
    const after = await stored('AC1')
    write(NEW)
    for (let i = 0; i < 3; i++) await comes('AC1')
    // The same key again is no other key: the connection of the device is left alone.
    expect(await stored('AC1')).toBe(after)
  } finally {
    await internal.stop()
    await service.stop()
  }
})

test.each([
  [['short'], 'the file holds a secret of less than 16 characters'],
  [['carillon-development-secret-not-for-production'], 'the file holds the development secret'],
  [[], 'the file holds no secret'],
])('%j is refused at the start', async (secrets, problem) => {
  write(...secrets)
  await expect(bootAuction(nats, { AUTH_HS256_SECRET_FILE: file })).rejects.toThrow(
    `AUTH_HS256_SECRET_FILE: ${problem}`,
  )
})

test.each([
  ['empty', () => write(), 'the file holds no secret'],
  ['gone', () => rmSync(file), 'the file cannot be read (ENOENT)'],
  ['a folder', () => replaceByFolder(), 'the file cannot be read (EISDIR)'],
  ['too short', () => write(OLD, 'short'), 'the file holds a secret of less than 16 characters'],
])(
  'a rotated file that is bad, %s: the secret read before stays, and log and metric tell',
  async (_, spoil, reason) => {
    const lines: {
      readonly level: string
      readonly reason?: string
      readonly variable?: string
      msg: string
    }[] = []
    const logDestination = { write: (line: string) => void lines.push(JSON.parse(line)) }
    const environment = { AUTH_HS256_SECRET_FILE: file, LOG_LEVEL: 'info' }
    const service = await bootAuction(nats, environment, { logDestination })
    const usable = async () =>
      /carillon_secret_file_usable\{variable="AUTH_HS256_SECRET_FILE"[^}]*\} (\d)/.exec(
        await (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text(),
      )?.[1]
    const comes = async (secret: string) => {
      const claims = {
        sub: String(++lastUser),
        created: Date.now(),
        exp: Math.floor(Date.now() / 1_000) + 600,
      }
      const token = await signToken(secret, claims)
      const client = await WebSocketClient.connect(`ws://127.0.0.1:${service.listener.port}/ws/${token}`)
      client.close()
    }
    const said = (message: string) => lines.filter(({ msg }) => msg === message)
    try {
      expect(await usable()).toBe('1')
      spoil()
      // Nobody has to come for it to be noticed.
      await eventually(() => said('the secrets read before stay in use').length > 0)
      expect(said('the secrets read before stay in use')).toMatchObject([
        { variable: 'AUTH_HS256_SECRET_FILE', reason },
      ])
      expect(await usable()).toBe('0')
      await comes(OLD)

      rmSync(file, { recursive: true, force: true })
      write(NEW, OLD)
      await eventually(() => said('the file of secrets can be used again').length > 0)
      expect(await usable()).toBe('1')
      await comes(NEW)
      expect(said('the secrets read before stay in use').every((line) => line.reason !== undefined)).toBe(
        true,
      )
    } finally {
      await service.stop()
      rmSync(file, { recursive: true, force: true })
    }
  },
)
