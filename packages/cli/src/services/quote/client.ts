import { QuoteClient } from '@carillon/client/quote'
import { runTerminalClient } from '../../client/terminal-client.ts'
import type { ConnectTarget } from '../../service-info.ts'

/** What is typed is sent as it is, right or wrong. */
class TypedQuoteClient extends QuoteClient {
  override send(frame: string): void {
    super.send(frame)
  }

  /** How often the server says `alive` is a setting of it, which may be longer. */
  protected override silenceMs(): number {
    return Infinity
  }
}

/** A client of quotes in the terminal. */
export function runQuoteClient(target: ConnectTarget): Promise<void> {
  return runTerminalClient(target, {
    create: (options) => new TypedQuoteClient(options),
    typed: (client, line) => client.send(line),
  })
}
