// The response as plugins see it, and what they want done with its body.
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate, zstdDecompress } from 'node:zlib'
import { describeError } from '../base/errors.ts'
import type { BodyChange, PluginResponse } from '../plugins/plugin.ts'
import { UpstreamFailed } from './errors.ts'
import type { Headers } from './headers.ts'

export class PassingResponse implements PluginResponse {
  status: number
  readonly headers: Headers
  #isBodyDropped = false
  #changes: BodyChange[] | undefined = undefined

  constructor(status: number, headers: Headers) {
    this.status = status
    this.headers = headers
  }

  dropBody(): void {
    this.#isBodyDropped = true
    for (const name of aboutBody) this.headers.remove(name)
  }

  changeBody(change: BodyChange): void {
    this.#changes ??= []
    this.#changes.push(change)
  }

  get isBodyDropped(): boolean {
    return this.#isBodyDropped
  }

  /** Whether the body has to be held until all of it is there. */
  get isBodyChanged(): boolean {
    return this.#changes !== undefined && !this.#isBodyDropped
  }

  /**
   * Makes the changes, and has the headers say what came of it.
   * @throws {UpstreamFailed} for what can't be decoded; what a change throws
   */
  async change(body: Buffer, bytesMax: number): Promise<Uint8Array> {
    const plain = await decoded(body, this.headers.get('content-encoding'), bytesMax)
    let changed: Uint8Array = plain
    for (const change of this.#changes ?? []) changed = await change(asBuffer(changed))
    if (changed === plain) return body
    for (const name of ['content-encoding', ...digests]) this.headers.remove(name)
    return changed
  }
}

const digests = ['content-md5', 'digest', 'content-digest', 'repr-digest']

const aboutBody = ['content-type', 'content-encoding', 'content-length', 'trailer', ...digests]

/** RFC 9110, 8.4.1, and RFC 8878 for zstd. */
const decoders = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
  zstd: promisify(zstdDecompress),
}

/** @throws {UpstreamFailed} for a coding that is not known, more bytes than may be held, and what is no such code */
async function decoded(body: Buffer, coding: string | undefined, bytesMax: number): Promise<Buffer> {
  const name = coding?.trim().toLowerCase() ?? 'identity'
  if (name === 'identity' || body.length === 0) return body
  const decode = Object.hasOwn(decoders, name) ? decoders[name as keyof typeof decoders] : undefined
  if (!decode)
    throw new UpstreamFailed('unchangeable', `a response that a plugin changes is coded as ${coding}`)
  try {
    // Few bytes can stand for many.
    return await decode(body, { maxOutputLength: Math.max(1, bytesMax) })
  } catch (cause) {
    throw new UpstreamFailed('unchangeable', `a response cannot be decoded: ${describeError(cause)}`, cause)
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
