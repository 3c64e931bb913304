import { Bus } from '@carillon/bus'
import { voice } from '@carillon/events'
import { eventually, NatsServer } from '@carillon/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { bootVoice, VoiceClient, type VoiceRoomWs } from './voice.ts'

let nats: NatsServer
let bus: Bus
let service: VoiceRoomWs
beforeAll(async () => {
  nats = await NatsServer.start()
  bus = new Bus({ url: nats.url, name: 'test' })
  bus.start()
  await eventually(() => bus.connected)
  service = await bootVoice(nats, { VOICE_MAX_CONNECTION_AGE_S: '2', VOICE_HEARTBEAT_TIMEOUT_MS: '60000' })
})
afterAll(async () => {
  await service?.stop()
  await bus?.stop()
  await nats?.stop()
})

test('a connection that is too old is sent away to come back, and its user is not evicted', async () => {
  const evicted: string[] = []
  bus.subscribe(voice.evicted, {}, ({ params }) => evicted.push(params.userId))
  await bus.roundTrip()
  const first = await VoiceClient.connect(service, '41')
  const broadcast = { headers: { 'Carillon-Delivery': 'broadcast' } }
  bus.publish(voice.room, { channelName: 'hall', action: 'enter_room' }, { user_id: 41 }, broadcast)
  const online = async () =>
    (await bus.request(voice.room_state, {}, { channel_name: 'hall' })).members.some((each) => each.online)
  await eventually(online)
  expect(await eventually(() => first.socket.closed ?? false)).toMatchObject({ code: 1012 })

  const second = await VoiceClient.connect(service, '41')
  await eventually(online)
  expect(evicted).toEqual([])
  const metrics = await (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text()
  expect(metrics).toMatch(/carillon_connections_rotated_total\{[^}]*\} 1/)

  // Who leaves by itself is evicted, at once or, where it was just being sent away, after the grace.
  second.kill()
  await eventually(() => evicted.includes('41'), 40_000)
})
