// A connection to an HTTP server that takes one request after the other. Node's own client makes some twenty objects for
// each, and takes three times as long.
import type { Socket } from 'node:net'
import { AnswerReader } from './answer-reader.ts'

export class HttpConnection {
  readonly #socket: Socket
  readonly #answer = new AnswerReader()
  /** Of the request that is under way. */
  #waiting: PromiseWithResolvers<void> | undefined
  #isClosed = false

  /** @param socket  connected; nobody else's from now on */
  constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => this.#take(text))
    socket.on('error', (error) => this.close(error))
    for (const event of ['end', 'close']) socket.on(event, () => this.close(new ConnectionClosed()))
  }

  /** Whether it can take another request. */
  get isOpen(): boolean {
    return !this.#isClosed
  }

  /**
   * Sends a whole request. Resolves when the answer is through, or as much of it as comes before it is closed.
   * @throws {ConnectionClosed} when there is no answer; what `close` was given
   */
  send(request: string): Promise<void> {
    this.#answer.reset()
    this.#waiting = Promise.withResolvers()
    this.#socket.write(request)
    return this.#waiting.promise
  }

  close(error: Error): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#socket.destroy()
    if (this.#answer.isAnswered) this.#waiting?.resolve()
    else this.#waiting?.reject(error)
  }

  #take(text: string): void {
    try {
      this.#answer.take(text)
    } catch (error) {
      this.close(error as Error)
      return
    }
    const waiting = this.#waiting
    // Between two requests nobody is to say anything.
    if (!waiting || (this.#answer.isWhole && !this.#answer.isKept)) this.close(new ConnectionClosed())
    else if (this.#answer.isWhole) {
      this.#waiting = undefined
      waiting.resolve()
    }
  }
}

/** The server has closed it. */
export class ConnectionClosed extends Error {
  constructor() {
    super('the connection was closed')
    this.name = 'ConnectionClosed'
  }
}
