import { expect, test } from '@jest/globals'
import { classify, DatabaseAway, DatabaseBusy, type FailureKind } from './failure.ts'

const ofServer = (code: string) => Object.assign(new Error('x'), { code, severity: 'ERROR' })
const ofSystem = (code: string) => Object.assign(new Error('x'), { code, syscall: 'read' })

test.each<[FailureKind, string, unknown]>([
  ['away', 'shutting down', ofServer('57P01')],
  ['away', 'a lost connection', ofServer('08006')],
  ['away', 'a full disk', ofServer('53100')],
  ['away', 'read-only after a failover', ofServer('25006')],
  ['away', 'a refused connection', ofSystem('ECONNREFUSED')],
  [
    'away',
    'a connection that could not be made in time',
    new Error('Connection terminated due to connection timeout'),
  ],
  ['away', 'no answer at all', new Error('Query read timeout')],
  ['away', 'what is known to be away', new DatabaseAway('x')],
  ['busy', 'no free connection of the pool', new Error('timeout exceeded when trying to connect')],
  ['busy', 'no free connection of the server', ofServer('53300')],
  ['busy', 'a lock that is not given', ofServer('55P03')],
  ['busy', 'a statement that takes too long', ofServer('57014')],
  ['busy', 'what is known to be busy', new DatabaseBusy('x')],
  ['conflict', 'a deadlock', ofServer('40P01')],
  ['defect', 'a broken statement', ofServer('42601')],
  ['defect', 'a mistake of our own', new TypeError('x')],
  ['defect', 'no error at all', 'x'],
])('%s: %s', (kind, _what, error) => {
  expect(classify(error)).toBe(kind)
})
