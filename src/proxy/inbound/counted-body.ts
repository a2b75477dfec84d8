// The body of a request whose length was said, read from a connection by whoever parses that.
import { Readable } from 'node:stream'

export class CountedBody extends Readable {
  #bytesLeft: number
  readonly #wanted: () => void

  /**
   * @param bytes   all of it, at least one
   * @param wanted  called when there is room for more
   */
  constructor(bytes: number, wanted: () => void) {
    super()
    this.#bytesLeft = bytes
    this.#wanted = wanted
    // One that breaks off is told by the reply's close; unheard, it would end the process.
    this.on('error', () => {})
  }

  /** Whether the client has sent all of it. */
  get isComplete(): boolean {
    return this.#bytesLeft === 0
  }

  /** Whether it has room for more. */
  get hasRoom(): boolean {
    return this.destroyed || this.readableLength < this.readableHighWaterMark
  }

  /**
   * Takes from `chunk` what is its own; returns where that ends.
   * @param isLent  whether `chunk` will hold something else by the time that it is read
   */
  feed(chunk: Buffer, from: number, isLent: boolean): number {
    const end = Math.min(chunk.length, from + this.#bytesLeft)
    this.#bytesLeft -= end - from
    if (this.destroyed) return end
    const own = chunk.subarray(from, end)
    if (end > from) this.push(isLent ? Buffer.from(own) : own)
    if (this.#bytesLeft === 0) this.push(null)
    return end
  }

  override _read(): void {
    this.#wanted()
  }
}
