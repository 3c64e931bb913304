import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'

type UpgradeSocket = Socket & { _httpMessage?: ServerResponse | null }

/**
 * Ends the TCP connection of an upgrade that was answered like any request. The plugin does so after its own
 * hooks, which a request that the router refuses never reaches.
 */
export function endRefusedUpgrades({ server }: FastifyInstance): void {
  server.on('upgrade', (_request: unknown, socket: UpgradeSocket) => {
    // Listeners run in order: by now the plugin has attached a response, unless the upgrade is done.
    if (socket._httpMessage?.writableFinished) socket.destroySoon()
    else socket._httpMessage?.once('finish', () => socket.destroySoon())
  })
}

/**
 * Lets go of the request and the reply of an upgrade, which would stay reachable for as long as the connection
 * lives: the reply is attached to the socket, and @fastify/websocket's error listener holds both.
 */
export function releaseUpgrade(socket: WebSocket, request: FastifyRequest): void {
  socket.removeAllListeners('error')
  const raw = request.raw.socket as UpgradeSocket
  const response = raw._httpMessage
  if (response) response.detachSocket(raw)
}
