/** How clients reach a gateway: WebSocket, Socket.IO. The gateway itself knows no more of it than this. */
export interface Transport {
  /** The port that is listened on, once started. */
  readonly port: number
  start(): Promise<void>
  /** Cuts off what is still open and lets go of the port. */
  stop(): Promise<void>
}
