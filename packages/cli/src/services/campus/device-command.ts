import { campus as channels } from '@carillon/events'
import type { Command } from 'commander'
import { positiveInteger } from '../../option.ts'
import type { OptionValues, Print } from '../../service-info.ts'
import { ToolError, USAGE } from '../../tool-error.ts'
import { withBus } from '../../with-bus.ts'

interface Refusable {
  readonly error_code: number
  readonly error_reason: string
}

/** `device put|get|delete <serialNo>`: the registry of campus devices. */
export function addDeviceCommand(tool: Command, print: Print): void {
  const device = tool
    .command('device')
    .description('campus devices: device put AC4178234415')
    .showHelpAfterError()
  device
    .command('put <serialNo>')
    .description('register a device, or replace what is known of it')
    .option('--key <key>', 'its key', 'abcdef')
    .option('--class <id>', 'the class it is bound to')
    .option('--school <id>', 'the school it is bound to')
    .option('--students <ids>', 'students of the class, separated by commas')
    .action(async (serialNo: string, options: OptionValues) => {
      const { key = '' } = options
      const request = {
        serial_no: serialNo,
        device_key: key,
        ...(options.class !== undefined && { class_id: positiveInteger('--class', options.class) }),
        ...(options.school !== undefined && { school_id: positiveInteger('--school', options.school) }),
        ...(options.students !== undefined && {
          student_ids: options.students.split(',').map((id) => positiveInteger('--students', id.trim())),
        }),
      }
      if (!channels.device_put.payload.check(request).ok) {
        throw new ToolError(
          'a serial number has 1 to 64 letters, digits, ".", "_" or "-"; a key 1 to 256 characters',
          USAGE,
        )
      }
      checked(await withBus((bus) => bus.request(channels.device_put, {}, request)))
      print(`${serialNo} is registered`)
    })
  device
    .command('get <serialNo>')
    .description('what is known of a device, whether it is connected, and what waits for it')
    .action(async (serialNo: string) => {
      const state = await withBus((bus) => bus.request(channels.device_state, {}, { serial_no: serialNo }))
      print(JSON.stringify(checked(state), undefined, 2))
    })
  device
    .command('delete <serialNo>')
    .description('forget a device, close its connection, and drop what waits for it')
    .action(async (serialNo: string) => {
      checked(await withBus((bus) => bus.request(channels.device_delete, {}, { serial_no: serialNo })))
      print(`${serialNo} is forgotten`)
    })
}

function checked<A extends Refusable>(answer: A): A {
  if (answer.error_code !== 0) throw new ToolError(answer.error_reason)
  return answer
}
