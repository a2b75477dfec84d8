// The response as plugins see it, and what they want done with its body.
import type { BodyChange, BodyPipe, PluginResponse } from '../plugins/plugin.ts'
import { codedAs, decodeWhole, requireKnownCoding } from './content-coding.ts'
import type { Headers } from './headers.ts'
import { collected, oncePiece, PipedResponse, type PipeEnd, throughPipes } from './piped-body.ts'

/** What a plugin does with the body: with all of it at once, or with one piece after the other. */
type Treatment = { readonly change: BodyChange } | { readonly pipe: BodyPipe }

export class PassingResponse implements PluginResponse {
  status: number
  readonly headers: Headers
  #isBodyDropped = false
  #treatments: Treatment[] | undefined = undefined

  constructor(status: number, headers: Headers) {
    this.status = status
    this.headers = headers
  }

  dropBody(): void {
    this.#isBodyDropped = true
    for (const name of aboutBody) this.headers.remove(name)
  }

  changeBody(change: BodyChange): void {
    this.#treatments ??= []
    this.#treatments.push({ change })
  }

  pipeBody(pipe: BodyPipe): void {
    this.#treatments ??= []
    this.#treatments.push({ pipe })
  }

  get isBodyDropped(): boolean {
    return this.#isBodyDropped
  }

  /** Whether the body is not sent as it comes. */
  get isBodyChanged(): boolean {
    return this.#treatments !== undefined && !this.#isBodyDropped
  }

  /** Of one that is changed: whether it has to be held until all of it is there. */
  get isBodyHeld(): boolean {
    return this.#treatments?.some((treatment) => 'change' in treatment) === true
  }

  /**
   * Makes the changes, and has the headers say what came of it.
   * @throws {UpstreamFailed} for what can't be decoded; what a change throws
   */
  async change(body: Buffer, bytesMax: number): Promise<Uint8Array> {
    const plain = await decodeWhole(body, this.headers.get('content-encoding'), bytesMax)
    let changed: Uint8Array = plain
    for (const treatment of this.#treatments ?? []) {
      const given = asBuffer(changed)
      if ('change' in treatment) changed = await treatment.change(given)
      else changed = await collected(throughPipes(oncePiece(given), [treatment.pipe]))
    }
    if (changed === plain) return body
    for (const name of ['content-encoding', ...digests]) this.headers.remove(name)
    return changed
  }

  /**
   * Has the headers say what will come of a body that is changed as it passes.
   * @returns  what begins with it, once the head has gone
   * @throws {UpstreamFailed} for a coding that is not known
   */
  preparePipe(): (end: PipeEnd) => PipedResponse {
    const coding = this.headers.get('content-encoding')
    requireKnownCoding(coding)
    const gone = ['content-length', 'trailer', ...(codedAs(coding) ? ['content-encoding'] : []), ...digests]
    for (const name of gone) this.headers.remove(name)
    const pipes = (this.#treatments ?? []).flatMap((one) => ('pipe' in one ? [one.pipe] : []))
    return (end) => new PipedResponse(pipes, coding, end)
  }
}

const digests = ['content-md5', 'digest', 'content-digest', 'repr-digest']

const aboutBody = ['content-type', 'content-encoding', 'content-length', 'trailer', ...digests]

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
