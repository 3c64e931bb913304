import { useState } from 'preact/hooks'
import type { TopicFollowers } from '../../../src/api.ts'
import { request, withQuery } from '../api.ts'
import { formatNumber } from '../format.ts'
import { snapshot } from '../live/live.ts'
import { Outcome } from '../parts/outcome.tsx'
import { useRequest } from '../parts/use-request.ts'
import { QueryForm } from './query-form.tsx'
import { Unanswered } from './unanswered.tsx'

export function TopicLookUp() {
  const withClients = (snapshot.value?.instances ?? [])
    .filter(({ connections }) => connections !== undefined)
    .map(({ service }) => service)
  const services = [...new Set(['auction-push', ...withClients])].sort()
  const [service, setService] = useState('auction-push')
  const [state, ask] = useRequest((topic: string) =>
    request<TopicFollowers>('GET', withQuery('/api/followers', { service, topic })),
  )
  return (
    <div class="card">
      <QueryForm
        label="Topic"
        placeholder="as a connection’s subscriptions say"
        busy={state.type === 'busy'}
        onQuery={(topic) => void ask(topic)}
      >
        <label>
          Service
          <select value={service} onChange={({ currentTarget }) => setService(currentTarget.value)}>
            {services.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
      </QueryForm>
      <Outcome
        state={state}
        idle="Shows who follows a topic, which is named as in the subscriptions of a user’s connections."
      >
        {(answer) => <Followers answer={answer} />}
      </Outcome>
    </div>
  )
}

function Followers({ answer }: { answer: TopicFollowers }) {
  const followers = answer.instances.reduce((sum, each) => sum + each.followers, 0)
  return (
    <>
      <h3>
        {answer.topic}: {followers === 1 ? '1 follower' : `${formatNumber(followers)} followers`}
      </h3>
      <Unanswered instances={answer.unanswered} />
      {followers > 0 && (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">Instance</th>
                <th scope="col" class="figure">
                  Followers
                </th>
                <th scope="col">Some of them</th>
              </tr>
            </thead>
            <tbody>
              {answer.instances.map(({ instance_id, followers, user_ids }) => (
                <tr key={instance_id}>
                  <td class="id">{instance_id}</td>
                  <td class="figure">{formatNumber(followers)}</td>
                  <td class="id wide">{user_ids.join(', ')}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  )
}
