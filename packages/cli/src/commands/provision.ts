import { contract } from '@carillon/events'
import { type Command, InvalidArgumentError } from 'commander'
import type { Print } from '../service-info.ts'
import { withBus } from '../with-bus.ts'

/** nats-server's own limit. */
const REPLICAS_MAX = 5

/** `provision`: the streams and buckets of the contract, for a NATS on which services may not make them. */
export function addProvisionCommand(tool: Command, print: Print): void {
  tool
    .command('provision')
    .description('make the streams and buckets of the contract, or bring them up to it')
    .option('--replicas <n>', 'how many servers keep each of them', replicas, 1)
    .action(({ replicas }: { replicas: number }) => provision(replicas, print))
}

async function provision(replicas: number, print: Print): Promise<void> {
  await withBus(
    async (bus) => {
      for (const stream of contract.streams) {
        await bus.stream(stream).ensure()
        print(`stream ${stream.name}: ${stream.summary}`)
      }
      for (const bucket of contract.buckets) {
        await bus.bucket(bucket).ensure()
        print(`bucket ${bucket.name}: ${bucket.summary}`)
      }
    },
    { replicas },
  )
}

function replicas(text: string): number {
  const number = Number(text)
  if (Number.isInteger(number) && number >= 1 && number <= REPLICAS_MAX) return number
  throw new InvalidArgumentError(`a whole number from 1 to ${REPLICAS_MAX} is needed`)
}
