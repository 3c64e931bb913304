import { useState } from 'preact/hooks'
import type { Conversation } from '../../../src/api.ts'
import { request, withQuery } from '../api.ts'
import { formatNumber } from '../format.ts'
import { Outcome } from '../parts/outcome.tsx'
import { useRequest } from '../parts/use-request.ts'
import { QueryForm } from './query-form.tsx'
import { NextPage } from './room.tsx'

export function ConversationLookUp() {
  const [id, setId] = useState('')
  const [state, ask] = useRequest((conversation: string, after?: string) =>
    request<Conversation>('GET', withQuery('/api/conversations', { conv_id: conversation, after })),
  )
  const query = (conversation: string) => {
    setId(conversation)
    void ask(conversation)
  }
  return (
    <div class="card">
      <QueryForm
        label="Conversation id"
        placeholder="group:tea"
        busy={state.type === 'busy'}
        onQuery={query}
      />
      <Outcome state={state} idle="Shows a conversation’s members and its sequence number.">
        {(conversation) => <Members conversation={conversation} onMore={(after) => void ask(id, after)} />}
      </Outcome>
    </div>
  )
}

interface MembersProps {
  conversation: Conversation
  onMore: (after: string) => void
}

function Members({ conversation, onMore }: MembersProps) {
  const { conv_id, max_seq, member_count, members, next } = conversation
  return (
    <>
      <h3>{conv_id}</h3>
      <dl class="facts">
        <dt>Last sequence number</dt>
        <dd>{max_seq}</dd>
        <dt>Members</dt>
        <dd>{formatNumber(member_count)}</dd>
      </dl>
      {members.length > 0 && (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">User</th>
                <th scope="col" class="figure">
                  Joined at sequence
                </th>
              </tr>
            </thead>
            <tbody>
              {members.map(({ user_id, joined_seq }) => (
                <tr key={user_id}>
                  <td class="id">{user_id}</td>
                  <td class="figure">{joined_seq}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <NextPage next={next} onMore={onMore} />
    </>
  )
}
