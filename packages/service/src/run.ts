import { EnvironmentError } from './environment.ts'
import { PortError } from './listening.ts'
import type { Service } from './service.ts'

/**
 * A deployable's whole life: create from the environment, start, and on SIGTERM or SIGINT drain and exit 0. A
 * second signal exits at once. A bad environment or a taken port is one clear message and exit code 1.
 */
export async function run(
  create: (environment: NodeJS.ProcessEnv) => Pick<Service, 'start' | 'stop'>,
): Promise<void> {
  try {
    const service = create(process.env)
    let signals = 0
    const leave = async () => {
      signals += 1
      if (signals > 1) process.exit(1)
      await service.stop()
      process.exit(0)
    }
    process.on('SIGTERM', leave)
    process.on('SIGINT', leave)
    await service.start()
  } catch (error) {
    const known = error instanceof EnvironmentError || error instanceof PortError
    process.stderr.write(`${known ? error.message : error instanceof Error ? error.stack : String(error)}\n`)
    process.exit(1)
  }
}
