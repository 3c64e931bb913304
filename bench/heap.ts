import { getHeapSnapshot } from 'node:v8'

export interface Instances {
  readonly count: number
  readonly bytes: number
}

/** What is on the heap, by the constructor's name: count and own size in bytes. */
export async function instancesByConstructor(): Promise<Record<string, Instances>> {
  const chunks: Buffer[] = []
  for await (const chunk of getHeapSnapshot()) chunks.push(Buffer.from(chunk))
  const { snapshot, nodes, strings } = JSON.parse(Buffer.concat(chunks).toString())
  const fields: string[] = snapshot.meta.node_fields
  const types: string[] = snapshot.meta.node_types[0]
  const [typeAt, nameAt, sizeAt] = ['type', 'name', 'self_size'].map((field) => fields.indexOf(field)) as [
    number,
    number,
    number,
  ]
  const found: Record<string, { count: number; bytes: number }> = {}
  for (let at = 0; at < nodes.length; at += fields.length) {
    const type = types[nodes[at + typeAt]] as string
    const name =
      type === 'object' || type === 'closure' || type === 'native' ? strings[nodes[at + nameAt]] : type
    const key = `${type} ${String(name).slice(0, 60)}`
    found[key] ??= { count: 0, bytes: 0 }
    found[key].count += 1
    found[key].bytes += nodes[at + sizeAt]
  }
  return found
}
