/** Files besides connections: ports, NATS, and clients that are being refused. */
const OTHER_FILES = 256

/** How many connections fit into a limit of open files; some are left for everything else. */
export function connectionsThatFit(openFilesMax: number | undefined): number {
  if (openFilesMax === undefined) return Number.POSITIVE_INFINITY
  return openFilesMax - Math.min(OTHER_FILES, Math.ceil(openFilesMax / 2))
}
