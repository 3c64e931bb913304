import { expect, test } from '@jest/globals'
import { parseOpenFilesMax } from './open-files.ts'

const limits = (soft: string) =>
  [
    'Limit                     Soft Limit           Hard Limit           Units',
    'Max core file size        0                    unlimited            bytes',
    `Max open files            ${soft.padEnd(20)} 1048576              files`,
  ].join('\n')

test.each([
  [limits('1024'), 1_024],
  [limits('1048576'), 1_048_576],
  [limits('unlimited'), undefined],
  ['', undefined],
])('%#', (text, max) => {
  expect(parseOpenFilesMax(text)).toBe(max)
})
