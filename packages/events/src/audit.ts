import { type Static, Type } from 'typebox'
import { defineEvent } from './channel.ts'
import { json } from './payload.ts'
import { Millis, Name } from './schemas.ts'
import { DAY_MS, type StreamDefinition } from './storage.ts'

/** What operators did. Nothing in it can be deleted before its time; credentials are never part of it. */
export const auditStream: StreamDefinition = {
  name: 'AUDIT',
  summary: 'Who did what on the console, when, from where, and with what result',
  subjects: ['audit.*.*'],
  messagesPerSubject: -1,
  maxAgeMs: 90 * DAY_MS,
  bytesMax: 268_435_456,
  appendOnly: true,
  storage: 'file',
}

export const AuditAct = Type.Unsafe<'sign_in' | 'sign_out' | 'disconnect' | 'setting' | 'publish' | 'try'>({
  type: 'string',
  enum: ['sign_in', 'sign_out', 'disconnect', 'setting', 'publish', 'try'],
})
export type AuditAct = Static<typeof AuditAct>

export const AuditRecord = Type.Object(
  {
    act_id: Name,
    act: AuditAct,
    user: Type.String({ maxLength: 1024 }),
    role: Type.Unsafe<'viewer' | 'operator' | 'none'>({
      type: 'string',
      enum: ['viewer', 'operator', 'none'],
    }),
    remote_address: Type.String({ maxLength: 64 }),
    /** What it was done to. */
    target: Type.Object({}),
    /** `begun` stands before the act, the others after it. */
    result: Type.Unsafe<'begun' | 'done' | 'failed' | 'refused'>({
      type: 'string',
      enum: ['begun', 'done', 'failed', 'refused'],
    }),
    detail: Type.Optional(Type.String({ maxLength: 1024 })),
    at: Millis,
    instance_id: Name,
  },
  { $id: 'AuditRecord' },
)
export type AuditRecord = Static<typeof AuditRecord>

export const audit = {
  record: defineEvent('audit.{service}.{act}', {
    direction: 'send',
    summary: 'An operator has done something, or is about to',
    payload: json(AuditRecord),
    stream: auditStream,
  }),
} as const
