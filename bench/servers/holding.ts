import { performance } from 'node:perf_hooks'

/** Methods by which the bench finds out for how long a server's process holds its event loop. */
export function holding() {
  let longestMs = 0
  let timer: NodeJS.Timeout | undefined
  return {
    holdStart() {
      longestMs = 0
      let last = performance.now()
      timer = setInterval(() => {
        const now = performance.now()
        longestMs = Math.max(longestMs, now - last - 1)
        last = now
      }, 1)
    },
    /** The longest time between two turns of a timer of one millisecond, in milliseconds. */
    holdStop() {
      clearInterval(timer)
      return longestMs
    },
  }
}
