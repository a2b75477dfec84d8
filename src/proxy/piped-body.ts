// A body that plugins change as it passes: piece by piece, no faster than it is taken, and never all of it in memory.
import { pipeline, Readable } from 'node:stream'
import type { BodyLimit, BodyPipe } from '../plugins/plugin.ts'
import { codedAs, decoderOf } from './content-coding.ts'
import { BodyRefused, UpstreamFailed } from './errors.ts'

/** What comes of `body` when it went through all of them, in order. */
export function throughPipes(body: AsyncIterable<Buffer>, pipes: readonly BodyPipe[]): AsyncIterable<Buffer> {
  return pipes.reduce((passing, pipe) => bytesOnly(pipe(passing)), body)
}

/** All that comes of it. */
export async function collected(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

export async function* oncePiece(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

async function* bytesOnly(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const piece of pieces) {
    if (!(piece instanceof Uint8Array)) {
      throw new TypeError(`a piece of a body must be bytes, and is of the type ${typeof piece}`)
    }
    if (piece.length > 0) {
      yield Buffer.isBuffer(piece) ? piece : Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)
    }
  }
}

/**
 * A request's body on its way upstream.
 * @param limit  of what the client sends: beyond it, the stream fails with {BodyRefused}
 * @param count  told how long each piece is that the client has sent
 */
export function pipedRequest(
  source: Readable,
  pipes: readonly BodyPipe[],
  limit: BodyLimit | undefined,
  count: (bytes: number) => void,
): Readable {
  return Readable.from(throughPipes(limited(source, limit, count), pipes), { objectMode: false })
}

async function* limited(
  source: Readable,
  limit: BodyLimit | undefined,
  count: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  let bytes = 0
  try {
    // A plugin that has seen enough is not to end the client's connection.
    for await (const chunk of source.iterator({ destroyOnReturn: false })) {
      bytes += chunk.length
      count(chunk.length)
      if (limit && bytes > limit.bytesMax) throw new BodyRefused(limit.answer)
      yield chunk
    }
  } finally {
    source.resume()
  }
}

/** Where what comes of a response goes. */
export interface PipeEnd {
  /** False asks to wait for `drained`. */
  write(chunk: Uint8Array): boolean
  /** @param isWhole  whether all that the upstream said was wanted */
  end(isWhole: boolean): void
  /** {UpstreamFailed} for what can't be decoded; what a plugin throws. */
  failed(error: unknown): void
  /** There is room for more of the upstream's. */
  resume(): void
}

/** A response's body, between the upstream, which pushes it, and the client. */
export class PipedResponse {
  readonly #end: PipeEnd
  readonly #source: Readable
  #isPaused = false
  #isComplete = false
  #isOver = false
  #room: (() => void) | undefined

  /** Begins at once. @param coding  what the upstream says that it is coded as */
  constructor(pipes: readonly BodyPipe[], coding: string | undefined, end: PipeEnd) {
    this.#end = end
    this.#source = new Readable({ read: () => this.#resume() })
    // Who reads it is told; where nobody does yet, nobody need be.
    this.#source.on('error', () => undefined)
    void this.#pump(pipes, coding)
  }

  /** False asks for no more until `PipeEnd.resume`. */
  take(chunk: Uint8Array): boolean {
    this.#isPaused = !this.#source.push(chunk)
    return !this.#isPaused
  }

  /** The upstream has said all. */
  complete(): void {
    this.#isComplete = true
    this.#source.push(null)
  }

  drained(): void {
    this.#room?.()
  }

  /** Whoever is at it is told that the body broke off; nobody hears of it any more. */
  destroy(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#source.destroy(new Error('the body broke off'))
    this.#room?.()
  }

  #resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#end.resume()
  }

  /** Never rejects. */
  async #pump(pipes: readonly BodyPipe[], coding: string | undefined): Promise<void> {
    try {
      for await (const chunk of throughPipes(decoded(this.#source, coding), pipes)) {
        if (this.#isOver) return
        if (!this.#end.write(chunk)) await this.#drain()
      }
      if (!this.#isOver) this.#end.end(this.#isComplete)
    } catch (error) {
      if (!this.#isOver) this.#end.failed(error)
    }
  }

  #drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#room = resolve
    })
  }
}

async function* decoded(source: Readable, coding: string | undefined): AsyncGenerator<Buffer> {
  if (!codedAs(coding)) {
    yield* source
    return
  }
  const decoder = decoderOf(coding as string)
  pipeline(source, decoder, () => undefined)
  try {
    yield* decoder
  } catch (cause) {
    throw new UpstreamFailed('unchangeable', 'a response cannot be decoded', cause)
  }
}
