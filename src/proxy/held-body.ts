// A request's body that somebody has to see whole before anything goes upstream. Nothing is read unless that is asked
// for, and what was read goes upstream all the same.
import { Readable } from 'node:stream'

/** What `proxy.held_body_max` is where nothing else is said. */
export const heldBytesMaxDefault = 8 * 1024 * 1024

/** As much as goes upstream at once of what is in memory: small enough that a slow upstream is felt. */
const sliceBytes = 64 * 1024

/** By the stream that they are read from: a request that is resolved anew finds what was read before. */
const bodies = new WeakMap<Readable, HeldBody>()

export class HeldBody {
  readonly #source: Readable
  readonly #chunks: Buffer[] = []
  #bytes = 0
  #isWhole = false
  /** Ends when nobody reads: those who want it at once read it one after the other. */
  #idle: Promise<unknown> = Promise.resolve()

  private constructor(source: Readable) {
    this.#source = source
  }

  static of(source: Readable): HeldBody {
    const body = bodies.get(source) ?? new HeldBody(source)
    bodies.set(source, body)
    return body
  }

  /** The one that was read of `source`, or undefined when nothing was. */
  static known(source: Readable): HeldBody | undefined {
    return bodies.get(source)
  }

  /** Read so far. */
  get bytes(): number {
    return this.#bytes
  }

  get isWhole(): boolean {
    return this.#isWhole
  }

  /**
   * All of it, or undefined when it is more than that; the rest is then left unread.
   * @throws {Error} when it broke off, and so will never be whole
   */
  read(bytesMax: number): Promise<Buffer | undefined> {
    const reading = this.#idle.then(() => this.#read(bytesMax))
    this.#idle = reading.catch(() => undefined)
    return reading
  }

  #read(bytesMax: number): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      const source = this.#source
      const settle = (act: () => void) => {
        source.off('data', take).off('end', end).off('close', close)
        act()
      }
      const take = (chunk: Buffer) => {
        this.#chunks.push(chunk)
        this.#bytes += chunk.length
        if (this.#bytes > bytesMax) stop()
      }
      const stop = () => {
        source.pause()
        settle(() => resolve(undefined))
      }
      const end = () => {
        this.#isWhole = true
        settle(() => resolve(this.#join()))
      }
      const close = () => settle(() => reject(new Error('the body broke off')))
      if (this.#bytes > bytesMax) resolve(undefined)
      else if (this.#isWhole) resolve(this.#join())
      else if (source.destroyed) close()
      else source.on('data', take).on('end', end).on('close', close).resume()
    })
  }

  /** For whoever sends it on: what was read, then what was not. */
  stream(): Readable {
    if (this.#isWhole) return streamOf(this.#join())
    bodies.delete(this.#source)
    if (this.#bytes > 0) this.#source.unshift(this.#join())
    return this.#source.resume()
  }

  #join(): Buffer {
    const joined = Buffer.concat(this.#chunks)
    this.#chunks.splice(0, this.#chunks.length, joined)
    return joined
  }
}

/** `bytes` as a stream that gives them no faster than they are taken. */
export function streamOf(bytes: Buffer): Readable {
  return Readable.from(slices(bytes))
}

function* slices(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += sliceBytes) yield bytes.subarray(at, at + sliceBytes)
}
