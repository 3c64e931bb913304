import type { Service } from '@carillon/service'
import { DirectWriter, loadSend } from './direct-writer.ts'
import type { GatewayConfig } from './gateway-config.ts'

/** The direct writer of a gateway with its metrics, unless it is turned off or the system does not offer it. */
export function createDirectWriter(
  service: Service,
  { directWrites }: GatewayConfig,
): DirectWriter | undefined {
  const send = directWrites ? loadSend() : undefined
  if (send === undefined) return undefined
  const writer = new DirectWriter(send)
  const { metrics } = service
  metrics.countOf(
    'direct_writes_total',
    'Writes that the kernel took whole, past the stream',
    () => writer.whole,
  )
  metrics.countOf(
    'direct_writes_refused_total',
    'Writes that the kernel took in part or not at all; the rest went through the stream',
    () => writer.refused,
  )
  return writer
}
