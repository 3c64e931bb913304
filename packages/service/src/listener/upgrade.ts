import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyRequest } from 'fastify'
import type { WebSocket } from 'ws'

/**
 * Lets go of the request and the reply of an upgrade, which would stay reachable for as long as the connection
 * lives: the reply is attached to the socket, and @fastify/websocket's error listener holds both.
 */
export function releaseUpgrade(socket: WebSocket, request: FastifyRequest): void {
  socket.removeAllListeners('error')
  const raw = request.raw.socket as Socket & { _httpMessage?: ServerResponse | null }
  const response = raw._httpMessage
  if (response) response.detachSocket(raw)
}
