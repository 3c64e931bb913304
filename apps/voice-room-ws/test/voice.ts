import { DEVELOPMENT_SECRET, mintSid, signFrame } from '@carillon/auth'
import type { Overrides } from '@carillon/service'
import { eventually, type NatsServer, testEnvironment, WebSocketClient } from '@carillon/testkit'
import { create, readConfig } from '../src/server.ts'

export type VoiceRoomWs = ReturnType<typeof create>

export function sidOf(userId: string, ttlS = 3_600): string {
  return mintSid(DEVELOPMENT_SECRET, userId, Math.floor(Date.now() / 1_000) + ttlS)
}

/** Boots the real service on free ports. */
export async function bootVoice(
  nats: NatsServer,
  environment: Record<string, string> = {},
  overrides: Overrides = {},
): Promise<VoiceRoomWs> {
  const service = create(
    readConfig({
      ...testEnvironment('VOICE', nats),
      VOICE_LEASE_MS: '1500',

      ...environment,
    }),
    overrides,
  )
  await service.start()
  if (nats.running) await eventually(() => service.bus.connected && service.leases.healthy)
  return service
}

export interface Json {
  readonly [name: string]: unknown
}

/** A client that signs what it sends, and reports only when it is told to. */
export class VoiceClient {
  readonly socket: WebSocketClient
  readonly userId: string
  readonly sid: string
  onlineToken = ''

  private constructor(socket: WebSocketClient, userId: string, sid: string) {
    this.socket = socket
    this.userId = userId
    this.sid = sid
  }

  /** Connects and waits for the token. */
  static async connect(
    service: { readonly port: number } | VoiceRoomWs,
    userId: string,
    sid = sidOf(userId),
  ): Promise<VoiceClient> {
    const port = 'listener' in service ? service.listener.port : service.port
    const socket = await WebSocketClient.connect(`ws://127.0.0.1:${port}/?sid=${encodeURIComponent(sid)}`)
    const client = new VoiceClient(socket, userId, sid)
    const { action, online_token } = (await socket.nextJson()) as Json
    if (action !== 'create_token' || typeof online_token !== 'string') throw new Error('no token')
    client.onlineToken = online_token
    return client
  }

  frame(fields: Record<string, string | number>): string {
    const { onlineToken: online_token, sid } = this
    const timestamp = Math.floor(Date.now() / 1_000)
    return signFrame({ online_token, sid, timestamp, ...fields }, { method: 'md5', secret: '' })
  }

  ping(): void {
    this.socket.send(this.frame({ action: 'ping' }))
  }

  report(action: string, userId: string | number): void {
    this.socket.send(this.frame({ action, user_id: userId }))
  }

  /** The notices and errors so far, without the token. */
  get received(): Json[] {
    return this.socket.frames.slice(1).map((frame) => JSON.parse(frame) as Json)
  }

  notices(action: string): Json[] {
    return this.received.filter((each) => each.action === action)
  }

  kill(): void {
    this.socket.close()
  }
}
