// One request on its way through: what came in, and what plugins may see and change before it goes out.
import type { Readable } from 'node:stream'
import type { Row } from '../base/json.ts'
import type { BodyLimit, BodyPipe, PluginRequest } from '../plugins/plugin.ts'
import { BodyRefused, bodyTooLarge } from './errors.ts'
import type { Headers } from './headers.ts'
import { HeldBody, streamOf } from './held-body.ts'
import { collected, oncePiece, pipedRequest, throughPipes } from './piped-body.ts'
import type { Incoming } from './request.ts'

/** What a request begins with. */
export type RequestParts = Pick<
  ProxyRequest,
  'incoming' | 'clientAddress' | 'api' | 'headers' | 'host' | 'path' | 'query'
> & { readonly heldBytesMax: number }

/** A request being resolved. Made anew from `Incoming` for each attempt, so plugins may change it freely. */
export class ProxyRequest implements PluginRequest {
  readonly incoming: Incoming
  /** Address of the client after trusted proxies are taken off. */
  readonly clientAddress: string
  /** The matched API. */
  readonly api: Row
  /** The client's headers, as they will go upstream; `Host` goes as `host` says. */
  readonly headers: Headers
  /** The `Host` header that goes upstream. */
  host: string
  /** Path as sent upstream, without query; starts with `/`. */
  path: string
  /** Query string as sent upstream, without `?`; undefined when there is none. */
  query: string | undefined
  /** How much of the body may go upstream; undefined: all of it. */
  bodyLimit: BodyLimit | undefined = undefined
  /** Set by an authentication plugin. */
  consumer: Row | null = null
  credential: Row | null = null
  readonly #heldBytesMax: number
  /** What a plugin made of the body. */
  #newBody: Buffer | undefined = undefined
  /** What plugins do with what goes upstream, piece by piece. */
  #pipes: BodyPipe[] | undefined = undefined
  /** What has come of a body that is piped. */
  #pipedBytes: number | undefined = undefined

  constructor(parts: RequestParts) {
    this.incoming = parts.incoming
    this.clientAddress = parts.clientAddress
    this.api = parts.api
    this.headers = parts.headers
    this.host = parts.host
    this.path = parts.path
    this.query = parts.query
    this.#heldBytesMax = parts.heldBytesMax
  }

  async readBody(bytesMax = Number.POSITIVE_INFINITY): Promise<Buffer> {
    const pipes = this.#pipes
    if (!pipes) return this.#readBody(bytesMax)
    // What an earlier plugin would have changed as it passes, it changes now.
    const before = await this.#readBody(bytesMax)
    const changed = before.length > 0 ? await collected(throughPipes(oncePiece(before), pipes)) : before
    if (changed.length > Math.min(bytesMax, this.#heldBytesMax)) throw new BodyRefused(bodyTooLarge)
    this.setBody(changed)
    return changed
  }

  async #readBody(bytesMax: number): Promise<Buffer> {
    const { body } = this.incoming
    if (this.#newBody) return this.#newBody
    if (!body) return Buffer.alloc(0)
    const limit = { bytesMax: Math.min(bytesMax, this.#heldBytesMax), answer: bodyTooLarge }
    const { bytesMax: most, answer } =
      this.bodyLimit && this.bodyLimit.bytesMax <= limit.bytesMax ? this.bodyLimit : limit
    // One that says that it is too large is not even begun.
    if (Number(this.headers.get('content-length') ?? 0) > most) throw new BodyRefused(answer)
    const whole = await HeldBody.of(body)
      .read(most)
      .catch(() => undefined)
    if (whole) return whole
    // Nobody is told of it whose client is gone.
    throw new BodyRefused(answer)
  }

  pipeBody(pipe: BodyPipe): void {
    this.#pipes ??= []
    this.#pipes.push(pipe)
    // How much will come of it is not known.
    if (this.#newBody ? this.#newBody.length > 0 : this.incoming.body) {
      for (const name of ['content-length', 'trailer']) this.headers.remove(name)
    }
  }

  /** Whether what goes upstream is made of the client's as it passes. */
  get isBodyPiped(): boolean {
    return this.#pipes !== undefined
  }

  setBody(body: Uint8Array): void {
    this.#pipes = undefined
    this.#newBody = Buffer.from(body)
    this.headers.set('Content-Length', String(body.length))
  }

  /** What goes upstream. Asked for once. */
  takeBody(): Readable | null {
    const body = this.#bodyBefore()
    if (!this.#pipes || !body) return body
    const limit = this.#newBody ? undefined : this.bodyLimit
    return pipedRequest(body, this.#pipes, limit, (bytes) => {
      this.#pipedBytes = (this.#pipedBytes ?? 0) + bytes
    })
  }

  /** What there is for plugins to change as it passes. */
  #bodyBefore(): Readable | null {
    const own = this.#held?.stream() ?? this.incoming.body
    if (!this.#newBody) return own
    // What the client still sends of its own goes nowhere.
    own?.resume()
    return this.#newBody.length > 0 ? streamOf(this.#newBody) : null
  }

  trailers(): readonly string[] {
    return this.#newBody || this.#pipes ? [] : this.incoming.trailers()
  }

  /** Whether the body is known, and is more than may pass. */
  get isOverLimit(): boolean {
    return (
      this.bodyLimit !== undefined &&
      this.#held?.isWhole === true &&
      this.#held.bytes > this.bodyLimit.bytesMax
    )
  }

  /** What came of the body. @param sent  as much went upstream */
  bodyBytes(sent: number): number {
    return this.#held?.bytes ?? this.#pipedBytes ?? sent
  }

  get #held(): HeldBody | undefined {
    return this.incoming.body ? HeldBody.known(this.incoming.body) : undefined
  }
}
