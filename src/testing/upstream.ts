// A local upstream that answers with what it was asked, or as a test tells it to.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { http } from '../base/http.ts'

/** What the echo saw. */
export interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: Record<string, string>
  /** Names and values in turn. */
  readonly rawHeaders: string[]
  readonly body: string
  readonly trailers: Record<string, string>
}

export class Upstream {
  /** Replaces the echo. */
  answer: ((request: IncomingMessage, response: ServerResponse) => void) | undefined
  /** Connections that were ever opened, and requests that came. */
  connections = 0
  requests = 0
  /** What the echo saw, the newest last; a thousand are kept. */
  readonly seen: Seen[] = []
  readonly #server = http.createServer((request, response) => {
    this.requests++
    request.on('error', () => {})
    if (this.answer) this.answer(request, response)
    else echo(request, response, (seen) => this.#keep(seen))
  })

  readonly #port: number

  /** @param port  0 lets the system choose */
  constructor(port = 0) {
    this.#port = port
    this.#server.on('connection', (_socket: Socket) => {
      this.connections++
    })
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve))
    return this
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  #keep(seen: Seen): void {
    this.seen.push(seen)
    if (this.seen.length > seenMax) this.seen.shift()
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#server.closeAllConnections()
    await closed
  }
}

/** What a long run of tests asks is not to fill memory. */
const seenMax = 1000

function echo(request: IncomingMessage, response: ServerResponse, keep: (seen: Seen) => void): void {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const seen: Seen = {
      method: request.method ?? '',
      url: request.url ?? '',
      headers: request.headers as Record<string, string>,
      rawHeaders: request.rawHeaders,
      body: Buffer.concat(chunks).toString(),
      trailers: request.trailers as Record<string, string>,
    }
    keep(seen)
    response.writeHead(200, { 'Content-Type': 'application/json', Server: 'upstream/1' })
    response.end(JSON.stringify(seen))
  })
}
