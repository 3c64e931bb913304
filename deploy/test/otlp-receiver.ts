import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { eventually } from '@carillon/testkit'

/** A span as a collector is sent it. */
export interface ReceivedSpan {
  readonly service: string
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly attributes: Readonly<Record<string, unknown>>
  readonly failed: boolean
}

interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

/** The receiving side of OTLP over HTTP, for spans as JSON. */
export class OtlpReceiver {
  readonly spans: ReceivedSpan[] = []
  /** Every body as it came. */
  readonly bodies: Buffer[] = []
  readonly contentTypes = new Set<string>()
  readonly #server: Server

  private constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk) => chunks.push(chunk))
      request.on('end', () => {
        const body = Buffer.concat(chunks)
        const type = request.headers['content-type'] ?? ''
        this.bodies.push(body)
        this.contentTypes.add(type)
        if (request.url === '/v1/traces' && type === 'application/json') this.#read(JSON.parse(String(body)))
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
      })
    })
  }

  static async start(): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver()
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve))
    return receiver
  }

  /** What a service has in its environment to export here, soon. */
  get environment(): Record<string, string> {
    const { port } = this.#server.address() as AddressInfo
    return {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_BSP_SCHEDULE_DELAY: '50',
    }
  }

  /** The span of this name whose parent is that one, when it has come. */
  child(name: string, { traceId, spanId }: Pick<ReceivedSpan, 'traceId' | 'spanId'>): Promise<ReceivedSpan> {
    return this.find((span) => span.name === name && span.traceId === traceId && span.parentSpanId === spanId)
  }

  find(matches: (span: ReceivedSpan) => boolean): Promise<ReceivedSpan> {
    return eventually(() => this.spans.find(matches) ?? false, 60_000)
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #read(body: {
    readonly resourceSpans: readonly {
      readonly resource: { readonly attributes: readonly Attribute[] }
      readonly scopeSpans: readonly {
        readonly spans: readonly (Omit<ReceivedSpan, 'attributes'> & {
          readonly attributes: readonly Attribute[]
          readonly status?: { readonly code?: number }
        })[]
      }[]
    }[]
  }): void {
    for (const { resource, scopeSpans } of body.resourceSpans) {
      const service = String(valuesOf(resource.attributes)['service.name'])
      for (const { spans } of scopeSpans)
        for (const { name, traceId, spanId, parentSpanId, attributes, status } of spans)
          this.spans.push({
            ...{ service, name, traceId, spanId },
            parentSpanId: parentSpanId || undefined,
            attributes: valuesOf(attributes),
            failed: status?.code === 2,
          })
    }
  }
}

function valuesOf(attributes: readonly Attribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
}
