/** Methods by which the bench finds out for how long a server's process holds its event loop. */
export function holding() {
  let longestMs = 0
  let timer: NodeJS.Timeout | undefined
  return {
    holdStart() {
      longestMs = 0
      let last = process.cpuUsage()
      timer = setInterval(() => {
        // CPU time, not the clock's: the system may have let others run meanwhile.
        const { user, system } = process.cpuUsage(last)
        longestMs = Math.max(longestMs, (user + system) / 1_000)
        last = process.cpuUsage()
      }, 1)
    },
    /** The most CPU time between two turns of a timer of one millisecond, in milliseconds. */
    holdStop() {
      clearInterval(timer)
      return longestMs
    },
  }
}
