import { table } from '../../scripts/reference/table.ts'
import { thousands } from '../result.ts'
import type { Outcome } from './scenarios.ts'

/** One size's outcomes, as docs/scaling.md has them. */
export function outcomeTable(outcomes: readonly Outcome[]): string {
  return table(
    [
      'event',
      'clients moved',
      'connects/s, peak',
      'discovery requests/s, peak',
      'failed tries',
      '99 % back',
      'all back',
      'fullest / mean',
    ],
    outcomes.map(({ what, moved, connectsPeak, answersPeak, failures, most, all, imbalance }) => [
      what,
      ...[moved, connectsPeak, answersPeak, failures].map(thousands),
      `${most} s`,
      all === undefined ? 'not within 600 s' : `${all} s`,
      imbalance.toFixed(3),
    ]),
  )
}
