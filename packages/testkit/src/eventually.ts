/**
 * Tries until the check neither throws nor answers false, and answers what it answered. After the time is over
 * it throws what the last try threw.
 */
export async function eventually<T>(
  check: () => T | false | Promise<T | false>,
  timeoutMs = 30_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    try {
      const answer = await check()
      if (answer !== false) return answer
      if (performance.now() > deadline) throw new Error(`still false after ${timeoutMs} ms: ${check}`)
    } catch (error) {
      if (performance.now() > deadline) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
