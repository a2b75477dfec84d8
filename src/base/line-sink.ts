// A file that lines are written to at once, and that may be unable to take them: a full disk ends nobody, and holds
// nobody up.
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { codeOf } from './errors.ts'

/** Of what can't be written, kept until it can: some ten thousand lines. What comes on top is dropped and counted. */
const waitingBytesMax = 4 * 1024 * 1024

/** For a slow reader of standard output, when there is nothing else left to do: a second in all. */
const lastTries = { count: 100, waitMs: 10 }

export class LineSink {
  readonly #target: string | 1
  readonly #onRoom: (dropped: number) => void
  #fd: number
  #waiting: Buffer[] = []
  #waitingBytes = 0
  #dropped = 0

  /**
   * @param target  a path (created if missing, appended to) or 1 for standard output
   * @param onRoom  told how many lines were dropped, once lines are taken again
   * @throws {Error} of the system when the file can't be opened
   */
  constructor(target: string | 1, onRoom: (dropped: number) => void) {
    this.#target = target
    this.#onRoom = onRoom
    if (target !== 1) mkdirSync(dirname(target), { recursive: true })
    this.#fd = target === 1 ? 1 : openSync(target, 'a')
  }

  /** Never throws. What can't be written is tried again with the next line. */
  write(line: string): void {
    this.#drain()
    const bytes = Buffer.from(line)
    if (this.#waitingBytes + bytes.length > waitingBytesMax) {
      this.#dropped++
      return
    }
    this.#waiting.push(bytes)
    this.#waitingBytes += bytes.length
    this.#drain()
    if (this.#dropped === 0 || this.#waiting.length > 0) return
    const dropped = this.#dropped
    this.#dropped = 0
    this.#onRoom(dropped)
  }

  /** Begins a new file after the old one was moved away. @throws {Error} of the system, and goes on with the old one */
  reopen(): void {
    if (this.#target === 1) return
    const old = this.#fd
    this.#fd = openSync(this.#target, 'a')
    closeSync(old)
  }

  /** Writes what waits, as far as that can be done. */
  flush(): void {
    const idle = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
    for (let tries = 0; this.#drain() === 'EAGAIN' && tries < lastTries.count; tries++) {
      Atomics.wait(idle, 0, 0, lastTries.waitMs)
    }
  }

  /** @returns  the code of what keeps lines from being written; undefined when all are */
  #drain(): string | undefined {
    try {
      for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
        const written = writeSync(this.#fd, next)
        this.#waitingBytes -= written
        if (written < next.length) this.#waiting[0] = next.subarray(written)
        else this.#waiting.shift()
      }
      return undefined
    } catch (error) {
      return codeOf(error) ?? 'unknown'
    }
  }
}
