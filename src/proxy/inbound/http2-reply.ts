// The way back to the client of one request over HTTP/2: a stream of node:http2.
import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { RefusalReason } from '../errors.ts'
import { kinds } from '../field-names.ts'
import { Headers } from '../headers.ts'
import type { Answer } from '../request.ts'
import { grpcHead, isGrpc } from './grpc-answer.ts'
import { canHaveTrailers, isBodilessStatus } from './head.ts'
import type { Http2Body } from './http2-body.ts'
import { nobody, type Reply, type ReplyWatcher } from './inbound.ts'
import type { ClientLimits } from './limits.ts'
import { Pace } from './pace.ts'

/** A request that a reply is for. */
export interface Http2Request {
  readonly method: string
  /** Null when the head said that there is none. */
  readonly body: Http2Body | null
  readonly isGrpc: boolean
}

export class Http2Reply implements Reply {
  watcher: ReplyWatcher = nobody
  readonly #stream: ServerHttp2Stream
  readonly #request: Http2Request
  /** Called once, when it is closed, after its watcher. */
  readonly #closed: () => void
  #state: 'open' | 'headed' | 'ended' | 'closed' = 'open'
  /** Until it is said: it waits for what else this tick brings. */
  #head: string[] | undefined
  #isBodiless = false
  /** Of the body, as the head says it. */
  #length: number | undefined
  /** Whether fields can come after the body. */
  #takesTrailers = false
  #trailers: readonly string[] = []
  #bytesSent = 0
  readonly #upload = new Pace()
  readonly #download = new Pace()

  constructor(stream: ServerHttp2Stream, request: Http2Request, closed: () => void) {
    this.#stream = stream
    this.#request = request
    this.#closed = closed
    stream.on('drain', () => {
      if (this.open) this.watcher.drained()
    })
    stream.once('wantTrailers', () => this.#sendTrailers())
    // Told at once, where the close would wait for somebody to read what has come of the body.
    stream.once('aborted', () => this.#close(false))
    stream.once('close', () => this.#close(this.#isAllSaid))
  }

  get open(): boolean {
    return (this.#state === 'open' || this.#state === 'headed') && !this.#stream.destroyed
  }

  /** Of heads as they are before they are compressed: how much is left of them then, nobody tells. */
  get bytesSent(): number {
    return this.#bytesSent
  }

  inform(status: number, headers: Headers): void {
    if (this.#state !== 'open' || this.#stream.destroyed || this.#stream.session?.closed) return
    const fields = fieldsOf(headers)
    this.#count(fields)
    this.#stream.additionalHeaders({ ':status': status, ...objectOf(fields) })
  }

  head(given: number, _reason: string | undefined, headers: Headers): void {
    if (!this.open) return
    const status = given | 0
    if (status < 200 || status > 599) throw new RangeError(`no status of an answer in HTTP/2: ${given}`)
    const { method } = this.#request
    this.#takesTrailers = canHaveTrailers(method, status, headers)
    this.#isBodiless = method === 'HEAD' || isBodilessStatus(status)
    this.#length = lengthOf(headers)
    this.#head = [':status', String(status), ...fieldsOf(headers, this.#takesTrailers)]
    this.#state = 'headed'
    queueMicrotask(() => this.#sayHead(this.#isBodiless))
  }

  write(chunk: Uint8Array): boolean {
    if (!this.open || chunk.length === 0 || this.#isBodiless) return true
    this.#sayHead(false, chunk)
    // To 205, as to those, there is no body for node:http2; nor is there one to what is told as a status of gRPC.
    if (this.#stream.writableEnded) return true
    this.#bytesSent += chunk.length
    return this.#stream.write(chunk)
  }

  end(trailers: readonly string[] = []): void {
    if (!this.open) return
    const said = Headers.from(trailers)
    if (this.#takesTrailers) this.#trailers = fieldsOf(said)
    this.#sayHead(this.#trailers.length === 0)
    this.#state = 'ended'
    if (!this.#stream.writableEnded) this.#stream.end()
    if (!this.#stream.readableEnded) this.#request.body?.letGo()
    // What the client still sends is of no use to anybody, and it is told so (RFC 9113, 8.1).
    if (this.#request.body && !this.#isHeardOut) this.#stream.close(constants.NGHTTP2_NO_ERROR)
  }

  switchTo(): undefined {}

  /** The rest of the request will not come, or nobody waits for it any more. */
  spoil(answer: Answer): void {
    if (this.open) this.watcher.spoiled(answer)
    else this.cut()
  }

  cut(): void {
    if (this.#state !== 'closed') this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR)
  }

  /** What the client takes too long for, if anything. To be asked now and then. */
  overdue(now: number, limits: ClientLimits): RefusalReason | undefined {
    const { body } = this.#request
    if (!body?.isAwaited) this.#upload.restart(body?.bytes ?? 0, now)
    else if (this.#upload.isTooSlow(body.bytes, now, limits.upload)) return 'slow-upload'
    const isDownloading = this.#stream.writableLength > 0
    const taken = this.#bytesSent - this.#stream.writableLength
    if (!isDownloading) this.#download.restart(taken, now)
    else if (this.#download.isTooSlow(taken, now, limits.download)) return 'slow-download'
    return undefined
  }

  get #isAllSaid(): boolean {
    const { rstCode, writableFinished } = this.#stream
    return this.#state === 'ended' && writableFinished && rstCode === constants.NGHTTP2_NO_ERROR
  }

  /** Whether the client has said all of the request. */
  get #isHeardOut(): boolean {
    const { endAfterHeaders, readableEnded, state } = this.#stream
    return endAfterHeaders || readableEnded || state.remoteClose === 1
  }

  /**
   * @param isAll  whether there is nothing to come after it
   * @param first  of the body, to be sent with it
   */
  #sayHead(isAll: boolean, first?: Uint8Array): void {
    const raw = this.#head
    if (raw === undefined) return
    this.#head = undefined
    if (this.#stream.destroyed || this.#stream.closed) return
    if (this.#request.isGrpc && !isGrpc(raw)) {
      this.#sayGrpcHead(raw, first)
      return
    }
    this.#count(raw)
    // A stream that does not wait for trailers is ended in order by node:http2 before it is reset, and what was cut off
    // would be taken for all.
    const waitForTrailers = this.#length === undefined || this.#length > (first?.length ?? 0)
    this.#stream.respond(raw, isAll ? { endStream: true } : { waitForTrailers })
  }

  #sayGrpcHead([, status, ...fields]: string[], first: Uint8Array | undefined): void {
    const head = grpcHead(Number(status), fields, first)
    this.#isBodiless = true
    this.#count(head)
    this.#stream.respond(head, { endStream: true })
  }

  #sendTrailers(): void {
    if (this.#stream.destroyed || this.#stream.closed) return
    this.#count(this.#trailers)
    this.#stream.sendTrailers(objectOf(this.#trailers))
  }

  #count(raw: readonly string[]): void {
    for (let i = 0; i < raw.length; i += 2)
      this.#bytesSent += (raw[i] as string).length + (raw[i + 1] as string).length
  }

  #close(complete: boolean): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.watcher.closed(complete)
    this.#closed()
  }
}

function lengthOf({ fields }: Headers): number | undefined {
  const length = fields.find((field) => (field.kinds & kinds.contentLength) !== 0)
  return length && Number(length.value)
}

/** As HTTP/2 has them: names in lower case, and none that concerns one connection of HTTP/1.1 (RFC 9113, 8.2). */
function fieldsOf({ fields }: Headers, withTrailer = false): string[] {
  const dropped = withTrailer ? kinds.hop : kinds.hop | kinds.trailer
  const raw: string[] = []
  for (const { of, value } of fields) if ((of.kinds & dropped) === 0) raw.push(of.lower, value)
  return raw
}

/** Fields that are there more than once as a list: node:http2 sends each of it. */
function objectOf(raw: readonly string[]): OutgoingHttpHeaders {
  const fields: Record<string, string[]> = Object.create(null)
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    fields[name] ??= []
    fields[name].push(raw[i + 1] as string)
  }
  return fields
}
