import { expect, test } from '@jest/globals'
import { bucketReplicas } from './stream-config.ts'

test.each([
  ['2.9.10', 1],
  ['2.10.19', 1],
  ['2.10.20', 3],
  ['2.10.20-RC.1', 3],
  ['2.11.0', 3],
  ['2.15.2', 3],
  ['3.0.0', 3],
  ['', 1],
  ['nonsense', 1],
])('a bucket on nats-server %s may have %s replicas', (version, replicas) => {
  expect(bucketReplicas(3, version)).toBe(replicas)
  expect(bucketReplicas(1, version)).toBe(1)
})
