import { eventually } from '@carillon/testkit'
import { expect, test } from '@jest/globals'
import { ScriptFolder } from './script-run.ts'

test('a voice room from the terminal: a member that reports by itself, a notice with its answer, a demo', async () => {
  const folder = await ScriptFolder.create()
  try {
    const fleet = folder.start('--only', 'voice-room-ws')
    await fleet.ready()
    const token = await folder.carillon('token', 'voice', '--user', '3600')
    expect(token.output).toMatch(/^3600s\d+x[0-9a-f]{32}\n$/)
    const member = folder.run('carillon.mjs', ['connect', 'voice', '--user', '3600'])
    await eventually(() => member.output.includes('"action":"create_token"'), 20_000)
    const entered = await folder.carillon(
      ...['publish', 'voice.room', 'lobby', 'enter_room', '{"user_id":3600,"nickname":"Ann"}'],
      ...['--header', 'Carillon-Delivery: broadcast'],
    )
    expect(JSON.parse(entered.output)).toMatchObject({ delivered: true })
    const notice = ['publish', 'voice.room', 'lobby', 'send_topic_msg', '{"user_id":1,"content":"hello"}']
    expect(JSON.parse((await folder.carillon(...notice)).output)).toEqual({
      delivered: true,
      relay_user_id: '3600',
      confirmed: true,
    })
    expect(member.output).toContain('"action":"send_topic_msg_report"')
    member.type('{"action":"ping"}')
    member.type('ping')
    await eventually(() => member.output.includes('type a JSON object'))
    const state = await folder.carillon('publish', 'voice.user_state', '{"user_id":3600}')
    expect(JSON.parse(state.output)).toMatchObject({ online: true, channel_name: 'lobby' })
    const call = ['publish', 'voice.call_start', 'c', '{"user_id":1,"receiver_id":2}']
    expect(await folder.carillon(...call)).toMatchObject({ exitCode: 0 })
    const demo = await folder.carillon('demo', 'voice', '--members', '3', '--seconds', '5')
    expect(demo).toMatchObject({ exitCode: 0 })
    expect(demo.output).toContain('"confirmed":true')
    expect(demo.output).toContain('notices published')
  } finally {
    await folder.remove()
  }
}, 300_000)
