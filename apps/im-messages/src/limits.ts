/** What one request may ask for, and how much it may hold. PROTOCOL.md lists these. */
export const limits = {
  /** Messages in one SendMsgList. */
  batchMessagesMax: 200,
  /** One message, with everything the client wrote. */
  messageBytesMax: 64 * 1024,
  /** All messages of one SendMsgList. */
  batchBytesMax: 512 * 1024,
  clientMsgIdBytesMax: 128,
  deliverAfterSecondsMax: 864_000,
  /** Messages of one user that are accepted and not due; internal services may have more. */
  delayedMessagesMax: 1_000,
  /** Conversations in one SyncConvSeq, and their ids together: the answer must fit into a NATS message. */
  syncConversationsMax: 5_000,
  syncConversationsBytesMax: 256 * 1024,
  /** Sequence numbers in one SyncMsgList, over all its conversations. */
  syncMessagesMax: 200,
  /** Conversations in one CatchUp, and messages of each in the answer. */
  catchUpConversationsMax: 1_000,
  catchUpMessagesMax: 200,
  /** An answer is cut where it would grow larger: NATS takes messages of 1 MiB. */
  answerBytesMax: 768 * 1024,
  /** Messages in one push; one message alone may be larger. */
  pushBytesMax: 256 * 1024,
  /** Messages that are pushed to their sender again because they were sent again, in one commit. */
  echoBytesMax: 64 * 1024,
  /** Members that one answer to an operator names. */
  membersPageMax: 500,
  /** Members of one conversation. */
  membersMax: 10_000,
  /** One notice. */
  noticeBytesMax: 64 * 1024,
  /** One notice, times the users that it is for: it is stored for each. */
  noticeBatchBytesMax: 16 * 1024 * 1024,
  /** Notices a device has in flight. */
  noticesInFlightMax: 20,
  /** Devices of one user whose positions are kept: beyond, the one that was not seen for longest is forgotten. */
  devicesMax: 100,
  conversationsPageMax: 2_000,
} as const
