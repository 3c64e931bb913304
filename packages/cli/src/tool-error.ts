/** What a user of the tool can mend: one message and an exit code. */
export class ToolError extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

/** The exit code of a command that was not understood. */
export const USAGE = 2
