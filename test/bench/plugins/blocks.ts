// Requests in short blocks: what is compared can be asked within milliseconds of each other, so that a slow moment of the
// machine is one for both.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** Some connections to a gateway, each with one request at a time. */
export class BlockClient {
  readonly #lines: Line[]

  private constructor(lines: Line[]) {
    this.#lines = lines
  }

  /** @param url  of the gateway, `http://host:port` */
  static async connect(url: string, connections: number): Promise<BlockClient> {
    const { hostname, port } = new URL(url)
    const lines = Array.from({ length: connections }, async () => {
      const socket = connect(Number(port), hostname).setNoDelay(true)
      await once(socket, 'connect')
      return new Line(socket)
    })
    return new BlockClient(await Promise.all(lines))
  }

  /**
   * Asks `times` on each connection, without a pause.
   * @throws {Error} when something is not answered with 200
   */
  async run(head: string, times: number): Promise<void> {
    await Promise.all(this.#lines.map((line) => line.run(head, times)))
  }

  stop(): void {
    for (const line of this.#lines) line.stop()
  }
}

class Line {
  readonly #socket: Socket
  #head = ''
  #left = 0
  /** Of what has come of one answer, in Latin-1. */
  #said = ''
  #done = Promise.withResolvers<void>()

  constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => this.#hear(text))
    socket.on('error', (error) => this.#done.reject(error))
    socket.on('close', () => this.#done.reject(new Error('the gateway has closed a connection')))
    this.#done.promise.catch(() => undefined)
  }

  run(head: string, times: number): Promise<void> {
    this.#head = head
    this.#left = times
    this.#done = Promise.withResolvers<void>()
    this.#socket.write(head)
    return this.#done.promise
  }

  stop(): void {
    this.#socket.destroy()
  }

  #hear(text: string): void {
    this.#said += text
    const bodyAt = this.#said.indexOf('\r\n\r\n') + 4
    if (bodyAt < 4) return
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(this.#said)?.[1])
    if (!this.#said.startsWith('HTTP/1.1 200 ') || Number.isNaN(length))
      this.#done.reject(new Error(`a request was answered with ${this.#said}`))
    if (this.#said.length < bodyAt + length) return
    this.#said = ''
    this.#left--
    if (this.#left > 0) this.#socket.write(this.#head)
    else this.#done.resolve()
  }
}
