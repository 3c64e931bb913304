import { signDevice } from '@carillon/auth'
import type { OptionValues, ServiceInfo } from '../service-info.ts'
import { addDeviceCommand } from './campus/device-command.ts'

/** The key of a device that was registered without one, on a developer's machine. */
const DEFAULT_KEY = 'abcdef'
const SERIAL_NO = 'AC4178234415'

export const campus: ServiceInfo = {
  name: 'campus-socketio',
  alias: 'campus',
  admin: { variable: 'CAMPUS_ADMIN_PORT', port: 9_085 },
  listen: { variable: 'CAMPUS_LISTEN_PORT', port: 8_085, protocol: 'http' },
  client: {
    credential: 'the signature of a device',
    exampleUser: SERIAL_NO,
    options: [{ flags: '--key <key>', description: "the device's key", default: DEFAULT_KEY }],
    createCredential: ({ user, options }) => signDevice({ serialNo: user, deviceKey: keyOf(options) }),
    path: () => '/socket/socket.io',
    connect: async (target) => (await import('./campus/device-client.ts')).runDeviceClient(target),
  },
  demo: {
    description: 'a school: classes, devices that come, go and answer, and a few that fail',
    options: [
      { flags: '--devices <number>', description: 'how many devices', default: '30' },
      { flags: '--rate <number>', description: 'events per second', default: '10' },
    ],
    run: async (context) => (await import('./campus/demo.ts')).runCampusDemo(context),
  },
  addCommands: addDeviceCommand,
  examples: ({ user }) => [
    { label: 'first', text: `npm run carillon -- device put ${user}` },
    { label: 'push', text: `npm run carillon -- publish campus.device ${user} device_status '{}'` },
    {
      label: 'publish',
      text: `npm run carillon -- publish campus.outbox ${user} bind_class '{"id":1,"name":"3-1"}'`,
    },
  ],
}

const keyOf = ({ key = DEFAULT_KEY }: OptionValues) => key
