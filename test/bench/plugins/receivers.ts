// Where the logging plugins of a benchmark send their records: receivers that take whatever comes, and do nothing with it.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'

export class Receivers {
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((socket) => {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket)).on('error', () => {})
    socket.resume()
  })
  readonly #datagrams = createSocket('udp4')

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1')
    this.#datagrams.bind(0, '127.0.0.1')
    await Promise.all([once(this.#server, 'listening'), once(this.#datagrams, 'listening')])
    return this
  }

  get tcp(): { host: string; port: number } {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port }
  }

  get udp(): { host: string; port: number } {
    return { host: '127.0.0.1', port: this.#datagrams.address().port }
  }

  stop(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    this.#datagrams.close()
  }
}
