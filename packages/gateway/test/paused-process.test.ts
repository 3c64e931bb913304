import { gatewayCloseCodes } from '@carillon/codec'
import { systemClock, TimingWheel } from '@carillon/service'
import { eventually, WebSocketClient } from '@carillon/testkit'
import { expect, test } from '@jest/globals'

import { testGateway, testListener } from './gateway.ts'

const IDLE_TIMEOUT_MS = 1_000
const PAUSE_MS = 2_500

test('a process that was paused reads what arrived meanwhile before it closes anybody for silence', async () => {
  const wheel = new TimingWheel(systemClock)
  const gateway = testGateway(wheel)
  const listener = testListener(gateway, { idleTimeoutMs: () => IDLE_TIMEOUT_MS })
  const received: string[] = []
  listener.accept(
    ['/'],
    () => ({ ok: true, identity: { userId: 'u' } }),
    () => ({ text: (frame) => void received.push(frame), closed() {} }),
  )
  await listener.start()
  wheel.start()
  try {
    const client = await WebSocketClient.connect(`ws://127.0.0.1:${listener.port}/`)
    const silent = await WebSocketClient.connect(`ws://127.0.0.1:${listener.port}/`)
    await eventually(() => gateway.connections.size === 2)
    client.send('still here')
    // Nothing of this process runs for longer than the idle limit, as under SIGSTOP.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
    expect((await silent.end()).code).toBe(gatewayCloseCodes.idle.code)
    expect(received).toEqual(['still here'])
    expect(client.closed).toBeUndefined()
    client.close()
  } finally {
    wheel.stop()
    await listener.stop()
  }
})
