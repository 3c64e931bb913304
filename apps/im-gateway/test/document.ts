import { create, createFileRegistry, type DescMessage, fromBinary, toBinary } from '@bufbuild/protobuf'
import {
  type DescriptorProto,
  DescriptorProtoSchema,
  EnumDescriptorProtoSchema,
  FieldDescriptorProtoSchema,
  FileDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  OneofDescriptorProtoSchema,
  FieldDescriptorProto_Type as Type,
} from '@bufbuild/protobuf/wkt'

/*
 * The client protocol as a client's author has it: the messages of the published document, and the tables of
 * fields for what the document does not print. Encoded and decoded by an implementation that has nothing to do
 * with the service's own.
 */
const DOCUMENT = `
enum ActiveEvent { SendMsgList = 0; SyncConvSeq = 1; SyncMsgList = 2; AckNotice = 3; GetMsgById = 4; CustomRequest = 100; }
message RequestBody { ActiveEvent event = 1; string reqId = 2; bytes data = 3; }
message SendMsgListReq { repeated MsgData msgDataList = 2; optional int32 deliverAfter = 11; }
message BatchGetConvSeqReq { repeated string convIdList = 2; }
message BatchGetMsgListByConvIdReq {
  message Item { string convId = 1; repeated string seqList = 2; }
  repeated Item items = 2;
}
message AckNoticeDataReq { string noticeId = 2; string convId = 3; }
message GetMsgByIdReq { optional string serverMsgId = 2; optional string clientMsgId = 3; }
message CustomRequestBody { string method = 1; bytes data = 2; }

enum PushEvent { PushMsgDataList = 0; PushNoticeDataList = 1; PushResponseBody = 2; }
message PushBody { PushEvent event = 1; bytes data = 2; }
enum Code { Success = 0; UnknownError = 1; InternalError = 2; RequestError = 3; AuthError = 4; ToastError = 5; AlertError = 7; RetryError = 8; }
message ResponseBody { ActiveEvent event = 1; string reqId = 2; Code code = 3; bytes data = 4; }
message SendMsgListResp { }
message BatchGetConvSeqResp {
  message ConvSeq { string convId = 1; string minSeq = 2; string maxSeq = 3; string updateTime = 4; }
  map<string, ConvSeq> convSeqMap = 2;
}
message GetMsgListResp { repeated MsgData msgDataList = 2; }
message AckNoticeDataResp { }
message GetMsgByIdResp { MsgData msgData = 2; }

message MsgData {
  message Options { bool storageForServer = 1; bool storageForClient = 2; bool needDecrypt = 3; bool offlinePush = 4; bool updateConvMsg = 5; bool updateUnreadCount = 6; }
  message OfflinePush { string title = 1; string content = 2; string payload = 3; }
  string clientMsgId = 1; string serverMsgId = 2; string clientTime = 3; string serverTime = 4;
  string senderId = 11; bytes senderInfo = 12; string convId = 21; repeated string atUsers = 22;
  int32 contentType = 31; bytes content = 32; string seq = 33;
  Options options = 41; OfflinePush offlinePush = 42; bytes ext = 100;
}
message MsgDataList { repeated MsgData msgDataList = 1; }
message NoticeData {
  message Options { bool storageForClient = 1; bool updateConvMsg = 2; bool onlinePushOnce = 3; }
  string convId = 1; int32 unreadCount = 2; bool unreadAbsolute = 3; string noticeId = 11; string createTime = 12;
  string title = 13; int32 contentType = 14; bytes content = 15; Options options = 21; bytes ext = 31;
}
message NoticeDataList { repeated NoticeData noticeDataList = 1; }
message CommonResp { Code code = 1; optional string msg = 2; bytes data = 3; }
message AnyErrorResp { CommonResp commonResp = 1; }
`

const scalars: Readonly<Record<string, Type>> = {
  string: Type.STRING,
  bytes: Type.BYTES,
  int32: Type.INT32,
  bool: Type.BOOL,
}
const enums = new Set([...DOCUMENT.matchAll(/enum (\w+)/g)].map(([, name]) => name as string))

/** Reads as much of the proto language as the document uses. */
function parse(text: string) {
  const tokens = text.match(/\w+|[^\s\w]/g) ?? []
  let at = 0
  const next = () => tokens[at++] as string
  const enumValues: ReturnType<typeof create<typeof EnumDescriptorProtoSchema>>[] = []
  const typeOf = (name: string, scope: readonly string[]) => {
    if (name in scalars) return { type: scalars[name] as Type }
    if (enums.has(name)) return { type: Type.ENUM, typeName: `.${name}` }
    return { type: Type.MESSAGE, typeName: `.${[...scope, name].join('.')}` }
  }
  const message = (outer: readonly string[]): DescriptorProto => {
    const name = next()
    const result = create(DescriptorProtoSchema, { name })
    const nested = new Set<string>()
    const scopeOf = (type: string) => (nested.has(type) ? [...outer, name] : [])
    next()
    while (tokens[at] !== '}') {
      let word = next()
      if (word === 'message') {
        nested.add(tokens[at] as string)
        result.nestedType.push(message([...outer, name]))
        continue
      }
      const map = word === 'map'
      const optional = word === 'optional'
      let label = word === 'repeated' || map ? Label.REPEATED : Label.OPTIONAL
      if (map) {
        at += 3
        word = next()
        next()
      } else if (optional || label === Label.REPEATED) word = next()
      const field = next()
      next()
      const number = Number(next())
      next()
      let type: { type: Type; typeName?: string } = typeOf(word, scopeOf(word))
      if (map) {
        const entry = `${field[0]?.toUpperCase()}${field.slice(1)}Entry`
        result.nestedType.push(
          create(DescriptorProtoSchema, {
            name: entry,
            options: { mapEntry: true },
            field: [
              create(FieldDescriptorProtoSchema, {
                name: 'key',
                number: 1,
                label: Label.OPTIONAL,
                type: Type.STRING,
              }),
              create(FieldDescriptorProtoSchema, {
                name: 'value',
                number: 2,
                label: Label.OPTIONAL,
                ...type,
              }),
            ],
          }),
        )
        type = { type: Type.MESSAGE, typeName: `.${[...outer, name, entry].join('.')}` }
        label = Label.REPEATED
      }
      if (optional) result.oneofDecl.push(create(OneofDescriptorProtoSchema, { name: `_${field}` }))
      result.field.push(
        create(FieldDescriptorProtoSchema, {
          name: field,
          jsonName: field,
          number,
          label,
          ...type,
          ...(optional && { proto3Optional: true, oneofIndex: result.oneofDecl.length - 1 }),
        }),
      )
    }
    next()
    return result
  }
  const messages: DescriptorProto[] = []
  while (at < tokens.length) {
    if (next() === 'message') messages.push(message([]))
    else {
      const name = next()
      const value = []
      next()
      while (tokens[at] !== '}') {
        const valueName = next()
        next()
        value.push({ name: valueName, number: Number(next()) })
        next()
      }
      next()
      enumValues.push(create(EnumDescriptorProtoSchema, { name, value }))
    }
  }
  return create(FileDescriptorProtoSchema, {
    name: 'document.proto',
    syntax: 'proto3',
    messageType: messages,
    enumType: enumValues,
  })
}

const registry = createFileRegistry(parse(DOCUMENT), () => undefined)

function messageOf(name: string): DescMessage {
  const found = registry.getMessage(name)
  if (found === undefined) throw new Error(`the document has no ${name}`)
  return found
}

// biome-ignore lint/suspicious/noExplicitAny: described by the document, not by types
export type Fields = Record<string, any>

export function encode(name: string, fields: Fields): Buffer {
  const description = messageOf(name)
  return Buffer.from(toBinary(description, create(description, fields as never)))
}

export function decode(name: string, bytes: Uint8Array): Fields {
  return fromBinary(messageOf(name), bytes) as Fields
}

/** The numbers of an enum of the document. */
export function numbersOf(name: string): Readonly<Record<string, number>> {
  const found = registry.getEnum(name)
  if (found === undefined) throw new Error(`the document has no ${name}`)
  return Object.fromEntries(found.values.map((value) => [value.name, value.number]))
}
