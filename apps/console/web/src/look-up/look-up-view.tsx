import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { ConversationLookUp } from './conversation.tsx'
import { DeviceLookUp } from './device.tsx'
import { RoomLookUp } from './room.tsx'
import { TopicLookUp } from './topic.tsx'
import { UserLookUp } from './user.tsx'

const kinds = {
  user: ['User', UserLookUp],
  room: ['Voice room', RoomLookUp],
  device: ['Campus device', DeviceLookUp],
  conversation: ['IM conversation', ConversationLookUp],
  topic: ['Topic', TopicLookUp],
} as const satisfies Record<string, readonly [string, () => ComponentChildren]>

type Kind = keyof typeof kinds

export function LookUpView() {
  const [kind, setKind] = useState<Kind>('user')
  const LookUp = kinds[kind][1]
  return (
    <section class="look-up">
      <h2 class="visually-hidden">Look up</h2>
      <fieldset class="choice">
        <legend class="visually-hidden">What to look up</legend>
        {(Object.keys(kinds) as Kind[]).map((each) => (
          <label key={each}>
            <input
              type="radio"
              name="kind"
              value={each}
              checked={kind === each}
              onChange={() => setKind(each)}
            />
            {kinds[each][0]}
          </label>
        ))}
      </fieldset>
      <LookUp key={kind} />
    </section>
  )
}
