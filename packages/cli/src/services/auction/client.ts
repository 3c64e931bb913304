import { AuctionClient } from '@carillon/client/auction'
import { runTerminalClient } from '../../client/terminal-client.ts'
import type { ConnectTarget } from '../../service-info.ts'

/** What is typed is sent as it is, right or wrong; nothing else is sent, so that every answer is one to it. */
class TypedAuctionClient extends AuctionClient {
  override send(frame: string): void {
    super.send(frame)
  }

  protected override heartbeatMs(): number {
    return Infinity
  }

  protected override silenceMs(): number {
    return Infinity
  }
}

/** A bidder in the terminal. */
export function runAuctionClient(target: ConnectTarget): Promise<void> {
  return runTerminalClient(target, {
    create: (options) => new TypedAuctionClient(options),
    typed: (client, line) => client.send(line),
  })
}
