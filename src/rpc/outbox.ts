// What waits to be sent. Two lanes, so that a small urgent frame waits for one large frame at most, and not for
// a queue of them.
import type { Writable } from 'node:stream'

/** First in, first out. Taking from the end of a reversed list costs the same however long it is. */
interface Lane {
  arriving: Buffer[]
  /** Newest first. */
  leaving: Buffer[]
  bytes: number
}

/**
 * Hands frames to a stream no faster than it takes them: what it holds itself can't be overtaken any more, so that
 * is kept to its own high-water mark and one frame.
 */
export class Outbox {
  readonly #stream: Writable
  readonly #laneBytesMax: number
  readonly #urgent: Lane = { arriving: [], leaving: [], bytes: 0 }
  readonly #ordered: Lane = { arriving: [], leaving: [], bytes: 0 }
  #pumping = false

  /** @param laneBytesMax  bound of what waits in each of the lanes, besides what the stream holds */
  constructor(stream: Writable, laneBytesMax: number) {
    this.#stream = stream
    this.#laneBytesMax = laneBytesMax
    stream.on('drain', () => this.#pump())
    // What was not sent by now never will be.
    stream.once('close', () => this.#clear())
  }

  /**
   * Sends `frame`, after those of its lane that came before it.
   * @returns  false when its lane is full: nothing was taken
   */
  send(frame: Buffer, urgent: boolean): boolean {
    const lane = urgent ? this.#urgent : this.#ordered
    if (lane.bytes + frame.length > this.#laneBytesMax) return false
    lane.arriving.push(frame)
    lane.bytes += frame.length
    this.#pump()
    return true
  }

  /** Sends what waits, then ends the stream. */
  end(): void {
    for (let frame = this.#next(); frame; frame = this.#next()) this.#stream.write(frame)
    this.#stream.end()
  }

  #pump(): void {
    // A stream within the process may answer before its write returns, and the answer lead here again.
    if (this.#pumping) return
    this.#pumping = true
    while (!this.#stream.writableNeedDrain) {
      const frame = this.#next()
      if (!frame) break
      this.#stream.write(frame)
    }
    this.#pumping = false
  }

  #next(): Buffer | undefined {
    return take(this.#urgent) ?? take(this.#ordered)
  }

  #clear(): void {
    for (const lane of [this.#urgent, this.#ordered])
      Object.assign(lane, { arriving: [], leaving: [], bytes: 0 })
  }
}

function take(lane: Lane): Buffer | undefined {
  if (lane.leaving.length === 0) {
    lane.leaving = lane.arriving.reverse()
    lane.arriving = []
  }
  const frame = lane.leaving.pop()
  if (frame) lane.bytes -= frame.length
  return frame
}
