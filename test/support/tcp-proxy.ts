// A wire between a client and a server that a test can cut, stop up, or watch.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'

export class TcpProxy {
  /** Told what a client sends before it is passed on. */
  onRequest: (data: Buffer, wire: Wire) => void = () => {}
  /** For how long whatever comes is kept before it is passed on. */
  delayMs = 0
  /** Bytes that came so far, from either side. */
  bytes = 0
  readonly port: number
  readonly #server: ReturnType<typeof createServer>
  readonly #wires = new Set<Wire>()
  #isIsolated = false

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
  }

  /**
   * @param port  clients wait for it, if it is not known yet
   * @param at    where it listens
   */
  static async to(host: string, port: number | Promise<number>, at = '127.0.0.1'): Promise<TcpProxy> {
    const server = createServer()
    server.listen(0, at)
    await once(server, 'listening')
    const proxy = new TcpProxy(server)
    server.on('connection', async (client) => {
      client.on('error', () => {})
      proxy.#join(client, connect(await port, host))
    })
    return proxy
  }

  /** Cuts every connection. */
  cut(): void {
    for (const wire of this.#wires) wire.cut()
  }

  /** From now on nothing gets through on what is connected, and nobody is told. */
  blackHole(): void {
    for (const wire of this.#wires) wire.deaf()
  }

  /** As a black hole for what is connected and for what will be, until it is mended. */
  isolate(): void {
    this.#isIsolated = true
    this.blackHole()
  }

  /** Ends what got nowhere; new connections get through again. */
  mend(): void {
    this.#isIsolated = false
    this.cut()
  }

  async stop(): Promise<void> {
    this.cut()
    this.#server.close()
    await once(this.#server, 'close')
  }

  /** Cuts any one connection. */
  cutOne(): void {
    const wires = [...this.#wires]
    wires[Math.floor(systemRandom.fraction() * wires.length)]?.cut()
  }

  #pass(data: Buffer, to: Socket): void {
    const pass = () => {
      if (!to.destroyed) to.write(data)
    }
    if (this.delayMs === 0) pass()
    else systemClock.after(this.delayMs, pass)
  }

  #join(client: Socket, server: Socket): void {
    let answering = true
    const wire: Wire = {
      answer: (data) => client.write(data),
      mute: () => {
        answering = false
      },
      deaf: () => {
        client.pause()
        server.pause()
      },
      cut: () => {
        client.destroy()
        server.destroy()
        this.#wires.delete(wire)
      },
    }
    this.#wires.add(wire)
    if (this.#isIsolated) wire.deaf()
    client.on('data', (data) => {
      this.bytes += data.length
      this.onRequest(data, wire)
      this.#pass(data, server)
    })
    server.on('data', (data) => {
      this.bytes += data.length
      if (answering) this.#pass(data, client)
      else wire.cut()
    })
    for (const socket of [client, server]) {
      socket.on('error', () => wire.cut())
      socket.on('close', () => wire.cut())
    }
  }
}

/** One client's connection. */
export interface Wire {
  /** Sends this to the client, as if it came from the server. */
  answer(data: Buffer): void
  /** The server still gets what is sent; its next answer is lost, and the connection with it. */
  mute(): void
  /** Passes nothing on in either direction. */
  deaf(): void
  cut(): void
}
