// A UDP receiver that keeps what it is sent.
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { until } from './log.ts'

export class Datagrams {
  readonly all: string[] = []
  /** From which each came. */
  readonly ports: number[] = []
  #socket: Socket | undefined

  async start(port = 0, host = '127.0.0.1'): Promise<this> {
    const socket = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 1024 * 1024 })
    socket.on('message', (datagram, { port }) => {
      this.all.push(datagram.toString())
      this.ports.push(port)
    })
    socket.bind(port, host)
    await once(socket, 'listening')
    this.#socket = socket
    return this
  }

  get port(): number {
    return (this.#socket as Socket).address().port
  }

  /** The first `count`, once they are there. */
  async first(count: number): Promise<string[]> {
    await until(() => this.all.length >= count)
    return this.all.slice(0, count)
  }

  async stop(): Promise<void> {
    const socket = this.#socket
    this.#socket = undefined
    await new Promise<void>((resolve) => (socket ? socket.close(resolve) : resolve()))
  }
}
