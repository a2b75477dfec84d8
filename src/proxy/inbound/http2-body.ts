// The body of a request over HTTP/2. A stream of node:http2 is both ways at once; this is the one way that whoever reads
// a body expects, so that letting go of it leaves the reply alone.

import type { ServerHttp2Stream } from 'node:http2'
import { Readable } from 'node:stream'

export class Http2Body extends Readable {
  readonly #stream: ServerHttp2Stream
  readonly #wanted: () => void
  #isBegun = false
  #bytes = 0

  /** @param wanted  called once, when somebody wants the first of it */
  constructor(stream: ServerHttp2Stream, wanted: () => void) {
    super()
    this.#stream = stream
    this.#wanted = wanted
    // One that breaks off is told by the reply's close; unheard, it would end the process.
    this.on('error', () => {})
    stream.once('aborted', this.#broken)
    stream.once('close', this.#broken)
  }

  /** That have come. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether the client is asked for more. */
  get isAwaited(): boolean {
    return this.#isBegun && !this.#stream.readableEnded && !this.#stream.isPaused()
  }

  override _read(): void {
    if (!this.#isBegun) this.#begin()
    this.#stream.resume()
  }

  /** Nobody needs what is still to come: it must not stand in the way of the stream's end. */
  letGo(): void {
    this.#stream.off('data', this.#take)
    this.#stream.resume()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.letGo()
    done(error)
  }

  #begin(): void {
    this.#isBegun = true
    this.#wanted()
    this.#stream.on('data', this.#take)
    this.#stream.on('end', () => {
      // One that was broken off ends, too.
      if (!this.#stream.aborted && !this.#stream.rstCode) this.push(null)
    })
  }

  readonly #broken = (): void => {
    if (!this.readableEnded) this.destroy(new Error('the client has gone'))
  }

  readonly #take = (chunk: Buffer): void => {
    this.#bytes += chunk.length
    if (!this.push(chunk)) this.#stream.pause()
  }
}
