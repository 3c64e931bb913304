import type { Subscription } from '@carillon/bus'
import { decodeProto, encodeError, im as proto } from '@carillon/codec'
import { IM_MESSAGES_QUEUE, im } from '@carillon/events'
import { type Overrides, Service } from '@carillon/service'
import { type Caller, readCaller } from './caller.ts'
import type { MessagesConfig } from './config.ts'
import { Database } from './database/database.ts'
import { embeddedEngine } from './database/embedded.ts'
import { postgresEngine } from './database/postgres.ts'
import { echoesOf } from './echoes.ts'
import { GroupCommit } from './group-commit.ts'
import { catchUp, listConversations } from './handlers/gateway.ts'
import { getConversation } from './handlers/get-conversation.ts'
import { getMessage } from './handlers/get-message.ts'
import { addMembers, putConversation, removeMembers, sendInternal } from './handlers/internal.ts'
import { ackNotice, listPendingNotices, sendNotice } from './handlers/notices.ts'
import { sendMessages } from './handlers/send-messages.ts'
import { syncMessages } from './handlers/sync-messages.ts'
import { syncSeqs } from './handlers/sync-seqs.ts'
import { Outboxes } from './outboxes.ts'
import { Publisher } from './publisher.ts'
import { badRequest, Code } from './refusal.ts'
import { type Answer, REQUEST_DEADLINE_MS, Requests } from './requests.ts'
import { RetentionWalk } from './retention-walk.ts'
import { type Committed, unstoredOf } from './store/commit-plan.ts'
import { sendDue } from './store/delayed.ts'
import { clearUp } from './store/upkeep.ts'
import { Worker } from './worker.ts'

export { type MessagesConfig, readConfig } from './config.ts'

const DUE_INTERVAL_MS = 250
const RETENTION_INTERVAL_MS = 60_000
const UPKEEP_INTERVAL_MS = 60_000
/** How long the end of the service waits for what it has committed to be published; it is published later else. */
const PUBLISH_MS = 5_000
/** How long the end of the service waits for requests: each of them is answered by then. */
const DRAIN_MS = REQUEST_DEADLINE_MS + 500

/** The message service behind im-gateway: order, storage, history, notices, delayed messages. */
export function create(config: MessagesConfig, overrides: Overrides = {}) {
  const service = new Service({ name: 'im-messages', config, overrides })
  const { bus, clock, log, metrics } = service
  const now = () => clock.now()

  const { database: where } = config
  const failures = metrics.counter(
    'im_database_failures_total',
    'What the database did not do. away: a connection was lost or could not be made; busy: no free connection, lock or answer in time',
    ['kind'],
  )
  const database = new Database({
    shared: where.kind === 'postgres',
    open: async () => (where.kind === 'postgres' ? postgresEngine(where) : embeddedEngine(where.folder)),
    log,
    failed: (kind) => failures.inc({ kind }),
  })

  // Committed → answered; committed → outbox → pushed.
  const publisher = new Publisher(bus)
  const outboxes = new Outboxes({ database, publisher, bus, log, metrics, now })
  const group = new GroupCommit({ database, now, committed })
  const commits = metrics.histogram(
    'im_commit_seconds',
    'Duration of a transaction that stores messages',
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
  )
  const batches = metrics.histogram(
    'im_commit_messages',
    'Messages stored by one transaction',
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000],
  )

  function committed(done: Committed, seconds: number): void {
    commits.observe(seconds)
    batches.observe(done.messages.length)
    outboxes.committed(done)
    // Best effort: these two are not promised, and a client that misses an echo sends again.
    if (!bus.connected) return
    for (const unstored of unstoredOf(done)) publisher.unstored(unstored)
    for (const echo of echoesOf(done)) publisher.echo(echo)
  }

  // Delayed messages → conversations, when they are due.
  const delayed = metrics.counter('im_delayed_sent_total', 'Delayed messages that were sent when due')
  const due = new Worker({
    name: 'delayed messages',
    intervalMs: DUE_INTERVAL_MS,
    log,
    async run() {
      const { done, convIds, more } = await sendDue(database, now())
      if (done !== undefined) {
        delayed.inc(done.outcomes.length)
        outboxes.committed(done)
        outboxes.conversations(convIds)
      }
      return more
    },
  })

  const walk = new RetentionWalk({ database, config, metrics, now })
  const retention = new Worker({
    name: 'retention',
    intervalMs: RETENTION_INTERVAL_MS,
    log,
    run: () => walk.step(),
  })
  // PostgreSQL clears up after itself; the embedded database has nobody who would.
  const upkeep = new Worker({
    name: 'upkeep',
    intervalMs: UPKEEP_INTERVAL_MS,
    log,
    run: () => clearUp(database),
  })
  const workers = [due, retention, ...(database.shared ? [] : [upkeep])]

  // Requests → answers.
  const requests = new Requests({ metrics, log })
  const subscriptions: Subscription[] = []
  const queue = { queue: IM_MESSAGES_QUEUE }

  type ClientChannel =
    | typeof im.sendMsgList
    | typeof im.syncConvSeq
    | typeof im.syncMsgList
    | typeof im.ackNotice
    | typeof im.getMsgById

  /** A client's request, passed on by a gateway: the answer is the client's, ready. */
  function serveClient(
    channel: ClientChannel,
    handle: (caller: Caller, data: Uint8Array) => Promise<Uint8Array>,
  ): void {
    const name = channel.pattern
    subscriptions.push(
      bus.serve(
        channel as typeof im.sendMsgList,
        {},
        async ({ payload }) => {
          const answer = await requests.run(name, async () => {
            const request = decodeProto(proto.rpc.ClientRequest, payload)
            if (request === undefined) throw badRequest('not a ClientRequest')
            return handle(readCaller(request.caller), request.data)
          })
          const { code, data } = answer.ok
            ? { code: Code.Success, data: answer.value }
            : { code: answer.refusal.code, data: encodeError(answer.refusal.code, answer.refusal.message) }
          return proto.rpc.ClientResponse.encode({ code, data }).finish()
        },
        queue,
      ),
    )
  }

  function subscribe(): void {
    serveClient(im.sendMsgList, (caller, data) => sendMessages(group, caller, data, now()))
    serveClient(im.syncConvSeq, (caller, data) => syncSeqs(database, caller, data))
    serveClient(im.syncMsgList, (caller, data) => syncMessages(database, caller, data))
    serveClient(im.ackNotice, (caller, data) => ackNotice(database, caller, data, now()))
    serveClient(im.getMsgById, (caller, data) => getMessage(database, caller, data))

    // What gateways ask for themselves.
    const codeOf = (answer: Answer<unknown>) => (answer.ok ? Code.Success : answer.refusal.code)
    const contentOf = <T extends object>(answer: Answer<T>) => (answer.ok ? answer.value : {})
    subscriptions.push(
      bus.serve(
        im.conversations,
        {},
        async ({ payload }) => {
          const answer = await requests.run(im.conversations.pattern, async () =>
            listConversations(database, understood(decodeProto(proto.rpc.ConversationsReq, payload))),
          )
          return proto.rpc.ConversationsResp.encode({ ...contentOf(answer), code: codeOf(answer) }).finish()
        },
        queue,
      ),
      bus.serve(
        im.pendingNotices,
        {},
        async ({ payload }) => {
          const answer = await requests.run(im.pendingNotices.pattern, async () =>
            listPendingNotices(
              database,
              understood(decodeProto(proto.rpc.PendingNoticesReq, payload)),
              now(),
            ),
          )
          return proto.rpc.PendingNoticesResp.encode({ ...contentOf(answer), code: codeOf(answer) }).finish()
        },
        queue,
      ),
      bus.serve(
        im.catchUp,
        {},
        async ({ payload }) => {
          const answer = await requests.run(im.catchUp.pattern, async () =>
            catchUp(database, understood(decodeProto(proto.rpc.CatchUpReq, payload))),
          )
          return proto.rpc.CatchUpResp.encode({ ...contentOf(answer), code: codeOf(answer) }).finish()
        },
        queue,
      ),
    )

    // What internal services ask for.
    const outcomeOf = (answer: Answer<unknown>) =>
      answer.ok
        ? { error_code: 0, error_reason: '' }
        : { error_code: -1, error_reason: answer.refusal.message }
    const members = [
      [im.convPut, putConversation],
      [im.convAddMembers, addMembers],
      [im.convRemoveMembers, removeMembers],
    ] as const
    for (const [channel, handle] of members) {
      subscriptions.push(
        bus.serve(
          channel as typeof im.convPut,
          {},
          async ({ payload }) => {
            const answer = await requests.run(channel.pattern, () => handle(database, payload, now()))
            if (answer.ok) outboxes.conversations([payload.convId])
            return outcomeOf(answer)
          },
          queue,
        ),
      )
    }
    subscriptions.push(
      bus.serve(
        im.convGet,
        {},
        async ({ payload }) => {
          const answer = await requests.run(im.convGet.pattern, () => getConversation(database, payload))
          return { ...outcomeOf(answer), ...contentOf(answer) }
        },
        queue,
      ),
      bus.serve(
        im.msgSend,
        {},
        async ({ payload }) => {
          const answer = await requests.run(im.msgSend.pattern, () => sendInternal(group, payload, now()))
          return { ...outcomeOf(answer), ...contentOf(answer) }
        },
        queue,
      ),
      bus.serve(
        im.noticeSend,
        {},
        async ({ payload }) => {
          const answer = await requests.run(im.noticeSend.pattern, () =>
            sendNotice(database, payload, now(), async (userIds, body) => {
              await publisher.notices(userIds.map((userId) => ({ userId, body })))
            }),
          )
          if (answer.ok) outboxes.users(payload.userIds)
          return { ...outcomeOf(answer), ...(answer.ok && { noticeId: answer.value }) }
        },
        queue,
      ),
    )
  }

  // Instances that cannot use the database yet leave the requests to those that can.
  let began = false
  database.availability.onAvailable(() => {
    if (!began) subscribe()
    began = true
    for (const worker of workers) worker.wake()
    outboxes.wake()
  })
  metrics.gaugeOf('im_database_available', 'Whether the database can be used', () =>
    Number(database.availability.available),
  )
  metrics.gaugeOf('im_messages_waiting', 'Messages that wait to be stored', () => group.waitingMessages)
  metrics.countOf('im_pushes_total', 'Pushes published for gateways', () => publisher.pushes)

  service.add({
    notReady: () =>
      database.availability.available ? undefined : `the database: ${database.availability.reason}`,
    async start() {
      await database.start()
      for (const worker of workers) worker.start()
      outboxes.start()
    },
    async drain(overMs) {
      const end = performance.now() + Math.max(overMs, DRAIN_MS)
      // Who is not served here any more is served by another instance; who is, gets the answer.
      await Promise.all(subscriptions.map((subscription) => subscription.drain(DRAIN_MS)))
      await outboxes.empty(Math.min(PUBLISH_MS, end - performance.now()))
    },
    async stop() {
      await Promise.all([...workers.map((worker) => worker.stop()), outboxes.stop()])
      await database.close()
    },
  })
  return Object.assign(service, { database, outboxes })
}

function understood<T>(request: T | undefined): T {
  if (request === undefined) throw badRequest('the request is not understood')
  return request
}
