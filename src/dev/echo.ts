// A small upstream that answers what it was asked, to have something to proxy to.
import type { IncomingMessage, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { http } from '../base/http.ts'

export interface Echo {
  readonly url: string
  stop(): Promise<void>
}

/**
 * The same with every start, so that APIs that were added for it go on working; another free port if it is taken. Below
 * the ports that systems give to outgoing connections.
 */
const usualPort = 8009

/** Starts the echo on the loopback interface. It answers every request with a JSON description of it. */
export async function startEcho(): Promise<Echo> {
  const server = http.createServer((request, response) => {
    const body = `${JSON.stringify(describe(request), null, 2)}\n`
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    request.resume().on('end', () => response.end(body))
  })
  await listening(server, usualPort).catch(() => listening(server, 0))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function describe(request: IncomingMessage): object {
  return { method: request.method, url: request.url, headers: request.headers }
}

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
}
