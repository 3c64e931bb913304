import { PbfReader, PbfWriter } from 'pbf'

/** A message's fields by name: number, type, and whether there may be several. Enums are integers. */
export type MessageType = Readonly<
  Record<string, readonly [number: number, type: FieldType, repeated?: true]>
>
type FieldType = 'string' | 'bytes' | 'int32' | 'bool' | MessageType

/** A message as an object: fields that were not there have their default, messages that were not are undefined. */
export type Fields = { [name: string]: unknown }

// The library's own UTF-8 is wrong beyond U+1FFFF.
const utf8 = { encoder: new TextEncoder(), decoder: new TextDecoder('utf-8', { ignoreBOM: true }) }

/** Encodes the fields that are given; undefined ones are left out, and so are defaults, as proto3 has it. */
export function encode(
  type: MessageType,
  fields: Readonly<Record<string, unknown>>,
): Uint8Array<ArrayBuffer> {
  const writer = new PbfWriter()
  for (const [name, [number, fieldType, repeated]] of Object.entries(type)) {
    const value = fields[name]
    for (const each of repeated ? ((value ?? []) as unknown[]) : [value]) {
      if (each === undefined || (!repeated && isDefault(each))) continue
      write(writer, number, fieldType, each)
    }
  }
  // A copy: what is sent must not be a view into a larger buffer.
  return Uint8Array.from(writer.finish())
}

function isDefault(value: unknown): boolean {
  return value === '' || value === 0 || value === false || (value instanceof Uint8Array && value.length === 0)
}

function write(writer: PbfWriter, number: number, type: FieldType, value: unknown): void {
  switch (type) {
    case 'string':
      writer.writeTag(number, 2)
      return writer.writeBytes(utf8.encoder.encode(value as string))
    case 'bytes':
      writer.writeTag(number, 2)
      return writer.writeBytes(value as Uint8Array)
    case 'int32':
      writer.writeTag(number, 0)
      return writer.writeVarint(value as number)
    case 'bool':
      writer.writeTag(number, 0)
      return writer.writeBoolean(value as boolean)
    default:
      writer.writeTag(number, 2)
      writer.writeBytes(encode(type, value as Fields))
  }
}

/** Decodes bytes that anybody may have written. @throws {Error} if they are no message. */
export function decode(type: MessageType, bytes: Uint8Array): Fields {
  const fields: Fields = {}
  const names = new Map<number, string>()
  for (const [name, [number, fieldType, repeated]] of Object.entries(type)) {
    fields[name] = repeated ? [] : defaultOf(fieldType)
    names.set(number, name)
  }
  const reader = new PbfReader(bytes)
  for (let number = reader.nextField(); number !== 0; number = reader.nextField()) {
    const name = names.get(number)
    if (name === undefined) continue
    const [, fieldType, repeated] = type[name] as MessageType[string]
    const wireType = fieldType === 'int32' || fieldType === 'bool' ? 0 : 2
    // Another type than its own: passed over like one that is not known.
    if (reader.type !== wireType) continue
    const value = read(reader, fieldType)
    if (repeated) (fields[name] as unknown[]).push(value)
    else fields[name] = value
  }
  if (reader.pos !== bytes.length) throw new RangeError('the message breaks off')
  return fields
}

function defaultOf(type: FieldType): unknown {
  switch (type) {
    case 'string':
      return ''
    case 'bytes':
      return new Uint8Array()
    case 'int32':
      return 0
    case 'bool':
      return false
    default:
      return undefined
  }
}

function read(reader: PbfReader, type: FieldType): unknown {
  switch (type) {
    case 'string':
      return utf8.decoder.decode(reader.readBytes())
    case 'bytes':
      return Uint8Array.from(reader.readBytes())
    case 'int32':
      return reader.readVarint(true) | 0
    case 'bool':
      return reader.readBoolean()
    default: {
      const bytes = reader.readBytes()
      return decode(type, bytes)
    }
  }
}
