// One request on its way through the gateway, from its head to its log record.
import type { Duplex, Readable } from 'node:stream'
import type { Clock } from '../base/clock.ts'
import type { LogFields, Logger } from '../base/logger.ts'
import type { UpstreamUrl } from '../entities/upstream-url.ts'
import type { BodyLimit } from '../plugins/plugin.ts'
import { wordsOf } from './answer-words.ts'
import type { ApiCounters } from './api-counters.ts'
import type { Counters } from './counters.ts'
import {
  BodyRefused,
  errorPage,
  http2Needed,
  PluginFailed,
  UpstreamFailed,
  upstreamErrorPage,
} from './errors.ts'
import { passableTrailers, upstreamHeaders, upstreamResponseHeaders } from './forwarding.ts'
import { Headers } from './headers.ts'
import { heldBytesMaxDefault } from './held-body.ts'
import type { Reply, ReplyWatcher } from './inbound/inbound.ts'
import { logRecord } from './log-record.ts'
import type { Exchange, Outbound, OutboundRequest, Receiver } from './outbound/outbound.ts'
import { PassingResponse } from './passing-response.ts'
import type { Step } from './phases.ts'
import type { PipedResponse } from './piped-body.ts'
import type { ProxyRequest } from './proxy-request.ts'
import type { Repeats } from './repeats.ts'
import { type Answer, type Client, http2Version, type Incoming } from './request.ts'
import type { Resolution, Resolver } from './resolver.ts'
import type { UpstreamTroubles } from './upstream-troubles.ts'
import { upstreamOf, upstreamTarget } from './url.ts'

export interface PassageParts {
  readonly resolver: Resolver
  readonly outbound: Outbound
  /** `troop/<version>`, for `Server` and `Via`. */
  readonly product: string
  readonly counters: Counters
  readonly apis: ApiCounters
  readonly clock: Clock
  readonly logger: Logger
  readonly repeats: Repeats
  readonly troubles: UpstreamTroubles
  /** How much of a response's body plugins may have held. Default 8 MiB. */
  readonly heldBytesMax?: number | undefined
  /** Called once, after the record of the request was given to its plugins. */
  readonly finished: () => void
}

/** The status in log records and metrics of a request whose client was gone before it was answered, as in nginx's logs. */
const clientGone = 499

/**
 * Stands between the two ends: it is told by the outbound what the upstream says (Receiver) and by the inbound
 * what becomes of the client (ReplyWatcher). The methods are in the order in which they are called. None throws:
 * each does its work under `#guard`, or as that does it where its closure would be one more for every request, since
 * rows, plugins and clients are all free to be other than they should.
 */
export class Passage implements Receiver, ReplyWatcher, Client {
  readonly #parts: PassageParts
  readonly #incoming: Incoming
  readonly #reply: Reply
  readonly #startedAt: number
  #isResolved = false
  #isFinished = false
  #request: ProxyRequest | null = null
  #steps: readonly Step[] = []
  #exchange: Exchange | undefined
  #upstream: UpstreamUrl | undefined
  #gone: AbortController | undefined
  #sentAt: number | undefined
  #headAt: number | undefined
  /** Of the head that was sent to the client. */
  #status: number | undefined
  #responseHeaders: Headers | undefined
  /** Of a response whose body has to be seen whole, as long as it is not. */
  #held: HeldResponse | undefined
  /** Of a response whose body is changed as it passes. */
  #piped: PipedResponse | undefined

  constructor(parts: PassageParts, incoming: Incoming, reply: Reply) {
    this.#parts = parts
    this.#incoming = incoming
    this.#reply = reply
    this.#startedAt = parts.clock.monotonic()
    reply.watcher = this
  }

  start(): void {
    const resolution = this.#parts.resolver.resolve(this.#incoming, this)
    if (resolution instanceof Promise) void resolution.then((resolution) => this.#proceed(resolution))
    else this.#proceed(resolution)
  }

  get gone(): AbortSignal {
    this.#gone ??= new AbortController()
    return this.#gone.signal
  }

  #proceed({ request, steps, answer }: Resolution): void {
    this.#isResolved = true
    this.#request = request
    this.#steps = steps
    try {
      if (request) this.#parts.counters.add('routed', 1)
      if (!this.#reply.open) this.#finish()
      else if (answer) this.#answer(answer)
      else if (request?.isOverLimit) this.#answer(request.bodyLimit?.answer as Answer)
      else if (request) this.#forward(request)
    } catch (error) {
      this.#giveUp(error)
    }
  }

  #forward(request: ProxyRequest): void {
    const upstream = upstreamOf(request.api)
    if (!upstream) {
      this.#report('error', 'requests answered 500: the upstream_url of their API cannot be used')
      this.#answer(errorPage(500, this.#accept()))
      return
    }
    if (upstream.isGrpc && this.#incoming.httpVersion !== http2Version) {
      this.#answer(http2Needed)
      return
    }
    this.#upstream = upstream
    this.#sentAt = this.#parts.clock.monotonic()
    this.#parts.counters.took('proxy', this.#sentAt - this.#startedAt)
    try {
      const outgoing = outgoingOf(request, upstream)
      this.#exchange = this.#parts.outbound.send(outgoing, this)
      if (request.isBodyPiped) outgoing.body?.on('error', (error) => this.#guard(() => this.#spoil(error)))
      else this.#limitBody(outgoing.body, request.bodyLimit)
    } catch (error) {
      this.#report('warn', 'a request could not be put into words for its upstream', { error })
      this.#answer(errorPage(500, this.#accept()))
    }
  }

  /** Counts what comes of the body, and breaks off before more than may pass goes upstream. */
  #limitBody(body: Readable | null, bodyLimit: BodyLimit | undefined): void {
    // One that was held, or made by a plugin, has been looked at.
    if (!bodyLimit || !body || body !== this.#incoming.body) return
    let bytes = 0
    const count = (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= bodyLimit.bytesMax) return
      body.off('data', count)
      this.#guard(() => this.#breakOff(bodyLimit.answer))
    }
    // Before the exchange hears of the chunk, so that it is never given what is too much, nor the end after it.
    body.prependListener('data', count)
  }

  /** What plugins make of the body as it passes will not be completed. */
  #spoil(error: unknown): void {
    // Where it is the client that has ended, whoever reads from it tells of that.
    const { body } = this.#incoming
    if (error instanceof BodyRefused) this.#breakOff(error.answer)
    else if (!body?.destroyed || body.readableEnded) throw error
  }

  /** The request is not to be completed, whatever became of the reply so far. */
  #breakOff(answer: Answer): void {
    if (!this.#reply.open) return
    this.#abort()
    if (this.#status === undefined) this.#answer(answer)
    else this.#reply.cut()
  }

  inform(status: number, given: Headers): void {
    this.#guard(() => this.#reply.inform(status, upstreamResponseHeaders(status, given)))
  }

  head(status: number, reason: string, given: Headers): void {
    try {
      const response = this.#shown(status, this.#upstreamHeaders(status, given))
      if (response.isBodyDropped) {
        this.#abort()
        this.#sendWhole(response, nothing)
      } else if (!response.isBodyChanged) this.#sendHead(response, reasonFor(response, status, reason))
      else if (this.#hasBody(status)) {
        const told = reasonFor(response, status, reason)
        if (response.isBodyHeld) this.#hold(response, told)
        else this.#pipe(response, told)
      } else {
        // What it says is not the length of what would have come of the body.
        response.headers.remove('content-length')
        this.#sendHead(response, reasonFor(response, status, reason))
      }
    } catch (error) {
      this.#giveUp(error)
    }
  }

  switchTo(protocol: string, given: Headers): Duplex | undefined {
    return this.#guard(() => {
      const headers = this.#upstreamHeaders(101, given)
      this.#shown(101, headers)
      const client = this.#reply.switchTo(protocol, headers)
      this.#status = 101
      this.#responseHeaders = headers
      return client
    })
  }

  data(chunk: Uint8Array): boolean {
    try {
      if (this.#held) return this.#keep(this.#held, chunk)
      return this.#piped ? this.#piped.take(chunk) : this.#reply.write(chunk)
    } catch (error) {
      this.#giveUp(error)
      return true
    }
  }

  drained(): void {
    this.#guard(() => (this.#piped ? this.#piped.drained() : this.#exchange?.resume()))
  }

  end(trailers: readonly string[]): void {
    try {
      if (this.#upstream) this.#parts.troubles.answered(this.#upstream)
      const held = this.#held
      if (this.#piped) this.#piped.complete()
      else if (!held) this.#reply.end(passableTrailers(trailers))
      else void this.#sendChanged(held.response, Buffer.concat(held.chunks), held.reason)
    } catch (error) {
      this.#giveUp(error)
    }
  }

  failed(error: UpstreamFailed): void {
    this.#guard(() => {
      this.#held = undefined
      this.#piped?.destroy()
      this.#parts.counters.failed(error.reason)
      if (this.#upstream) this.#parts.troubles.failed(this.#upstream, error, this.#request?.api?.id)
      // What has begun can't be taken back; cutting it is the only way to say that the rest is missing.
      if (this.#status === undefined) this.#answer(upstreamErrorPage(error, this.#accept()))
      else this.#reply.cut()
    })
  }

  spoiled(answer: Answer): void {
    this.#guard(() => this.#breakOff(answer))
  }

  closed(complete: boolean): void {
    try {
      if (!complete) this.#abort()
      this.#gone?.abort()
      // A request still being resolved is finished when that is done.
      if (this.#isResolved) this.#finish()
    } catch (error) {
      this.#giveUp(error)
    }
  }

  /** Does what an event asks for. What it throws costs this request alone; left alone, it would end the thread. */
  #guard<T>(act: () => T): T | undefined {
    try {
      return act()
    } catch (error) {
      this.#giveUp(error)
      return undefined
    }
  }

  /** Ends the request as well as it can still be ended. */
  #giveUp(error: unknown): void {
    try {
      this.#abort()
      const plugin = error instanceof PluginFailed ? error.plugin : undefined
      this.#report('error', 'a request failed in the gateway', { error, plugin })
      if (this.#status === undefined) this.#answerBare(errorPage(500, this.#accept()))
      else this.#reply.cut()
    } catch {
      this.#reply.cut()
    }
  }

  /** The gateway's own answer, or a plugin's. */
  #answer(answer: Answer): void {
    const { body, headers } = wordsOf(answer, this.#parts.product)
    const response = this.#shown(answer.status, headers)
    if (response.isBodyChanged && body.length > 0) void this.#sendChanged(response, body)
    else this.#sendWhole(response, response.isBodyDropped ? nothing : body)
  }

  #hasBody(status: number): boolean {
    return this.#incoming.method !== 'HEAD' && !bodiless(status)
  }

  #hold(response: PassingResponse, reason: string | undefined): void {
    this.#held = { response, reason, chunks: [], bytes: 0 }
    const announced = Number(response.headers.get('content-length') ?? 0)
    if (announced > this.#heldBytesMax) this.#tooLarge()
  }

  #pipe(response: PassingResponse, reason: string | undefined): void {
    const begin = preparedPipe(response)
    if (begin instanceof UpstreamFailed) {
      this.#abort()
      this.failed(begin)
      return
    }
    this.#sendHead(response, reason)
    this.#piped = begin({
      write: (chunk) => this.#guard(() => this.#reply.write(chunk)) ?? true,
      end: (isWhole) => this.#guard(() => this.#endPipe(isWhole)),
      failed: (error) => {
        if (!(error instanceof UpstreamFailed)) return this.#giveUp(error)
        this.#abort()
        this.failed(error)
      },
      resume: () => this.#guard(() => this.#exchange?.resume()),
    })
  }

  #endPipe(isWhole: boolean): void {
    if (!isWhole) this.#abort()
    this.#reply.end()
  }

  #keep(held: HeldResponse, chunk: Uint8Array): boolean {
    held.chunks.push(chunk)
    held.bytes += chunk.length
    if (held.bytes > this.#heldBytesMax) this.#tooLarge()
    return true
  }

  #tooLarge(): void {
    this.#abort()
    const most = `${this.#heldBytesMax} bytes (proxy.held_body_max)`
    this.failed(new UpstreamFailed('unchangeable', `a response that a plugin changes is larger than ${most}`))
  }

  get #heldBytesMax(): number {
    return this.#parts.heldBytesMax ?? heldBytesMaxDefault
  }

  /** Never rejects. */
  async #sendChanged(response: PassingResponse, body: Buffer, reason?: string): Promise<void> {
    try {
      const changed = await response.change(body, this.#heldBytesMax)
      this.#held = undefined
      this.#guard(() => this.#sendWhole(response, changed, reason))
    } catch (error) {
      if (error instanceof UpstreamFailed) this.failed(error)
      else this.#giveUp(error)
    }
  }

  #sendWhole(response: PassingResponse, body: Uint8Array, reason?: string): void {
    if (!bodiless(response.status)) response.headers.set('Content-Length', String(body.length))
    this.#sendHead(response, reason)
    if (body.length > 0) this.#reply.write(body)
    this.#reply.end()
  }

  /** An answer of our own when something broke another: no plugin touches this one. */
  #answerBare(answer: Answer): void {
    const { body, headers } = wordsOf(answer, this.#parts.product)
    headers.set('Content-Length', String(body.length))
    this.#status = answer.status
    this.#responseHeaders = headers
    this.#reply.head(answer.status, undefined, headers)
    this.#reply.write(body)
    this.#reply.end()
  }

  /** The upstream's head as it goes on from here. */
  #upstreamHeaders(status: number, given: Headers): Headers {
    const sentAt = this.#sentAt as number
    this.#headAt = this.#parts.clock.monotonic()
    this.#parts.counters.took('upstream', this.#headAt - sentAt)
    const headers = upstreamResponseHeaders(status, given)
    headers.append('Via', this.#parts.product)
    headers.set('X-Troop-Upstream-Latency', wholeMs(this.#headAt - sentAt))
    headers.set('X-Troop-Proxy-Latency', wholeMs(sentAt - this.#startedAt))
    return headers
  }

  /** @throws {RangeError} as `Reply.head` */
  #sendHead({ status, headers }: PassingResponse, reason: string | undefined): void {
    this.#reply.head(status, reason, headers)
    this.#status = status
    this.#responseHeaders = headers
  }

  /** The response as it is once plugins have seen it. @throws {PluginFailed} */
  #shown(status: number, headers: Headers): PassingResponse {
    const response = new PassingResponse(status, headers)
    if (!this.#request) return response
    for (const { plugin, phases, config } of this.#steps) {
      let told: unknown
      try {
        told = phases.headers?.(response, config, this.#request)
      } catch (error) {
        throw new PluginFailed(plugin.name, 'headers', error)
      }
      this.#watch(told, 'a plugin failed after the head had gone', plugin.name)
    }
    return response
  }

  #accept(): string | undefined {
    return this.#incoming.headers.get('accept')
  }

  #abort(): void {
    this.#piped?.destroy()
    this.#exchange?.abort()
  }

  /** Whatever becomes of the record, whoever waits for the request is told, and once. */
  #finish(): void {
    if (this.#isFinished) return
    this.#isFinished = true
    const { clock, counters } = this.#parts
    const endedAt = clock.monotonic()
    counters.answered(this.#status ?? clientGone)
    counters.took('request', endedAt - this.#startedAt)
    this.#countForApi()
    try {
      this.#log(endedAt)
    } finally {
      this.#parts.finished()
    }
  }

  #countForApi(): void {
    if (!this.#request) return
    // A plugin may have made anything of it.
    const counts = this.#parts.apis.of(String(this.#request.api?.id))
    counts.answered(this.#status ?? clientGone)
    if (this.#sentAt === undefined) return
    counts.took('proxy', this.#sentAt - this.#startedAt)
    if (this.#headAt !== undefined) counts.took('upstream', this.#headAt - this.#sentAt)
  }

  /** Tells every plugin that logs, after the last byte. */
  #log(endedAt: number): void {
    const request = this.#request
    const loggers = this.#steps.filter(hasLog)
    if (!request || loggers.length === 0) return
    const record = logRecord({
      request,
      bodyBytes: request.bodyBytes(this.#exchange?.bodyBytes ?? 0),
      status: this.#status ?? clientGone,
      responseHeaders: this.#responseHeaders ?? new Headers(),
      bytesSent: this.#reply.bytesSent,
      startedAt: this.#startedAt,
      sentAt: this.#sentAt,
      headAt: this.#headAt,
      endedAt,
    })
    for (const { plugin, phases, config } of loggers) {
      const sentence = 'a plugin failed to log'
      try {
        this.#watch(phases.log?.(record, config), sentence, plugin.name)
      } catch (error) {
        this.#report('warn', sentence, { error, plugin: plugin.name })
      }
    }
  }

  /** What a plugin goes on with after it returned may fail, but not unheard: that would end the thread. */
  #watch(result: unknown, sentence: string, plugin: string): void {
    if (!(result instanceof Promise)) return
    result.catch((error) => this.#guard(() => this.#report('warn', sentence, { error, plugin })))
  }

  #report(level: 'warn' | 'error', sentence: string, fields: LogFields = {}): void {
    const { repeats, logger } = this.#parts
    const api = this.#request?.api?.id
    repeats.say(`${sentence} ${api} ${fields.plugin}`, (keptBack) =>
      logger[level](sentence, { ...fields, api, keptBack }),
    )
  }
}

/** A response of which the head has come, and that waits for the rest. */
interface HeldResponse {
  readonly response: PassingResponse
  readonly reason: string | undefined
  readonly chunks: Uint8Array[]
  bytes: number
}

const nothing = new Uint8Array()

function hasLog({ phases }: Step): boolean {
  return phases.log !== undefined
}

function preparedPipe(
  response: PassingResponse,
): ReturnType<PassingResponse['preparePipe']> | UpstreamFailed {
  try {
    return response.preparePipe()
  } catch (error) {
    if (error instanceof UpstreamFailed) return error
    throw error
  }
}

/** The upstream's own phrase, as long as the status is its own, too. */
function reasonFor(response: PassingResponse, status: number, reason: string): string | undefined {
  return response.status === status ? reason : undefined
}

/** @throws {TypeError} for what a plugin made of the host that can't stand in a head */
function outgoingOf(request: ProxyRequest, upstream: UpstreamUrl): OutboundRequest {
  const { incoming, path, query } = request
  return {
    upstream,
    method: incoming.method,
    target: upstreamTarget(upstream, path, query),
    headers: upstreamHeaders(request),
    body: request.takeBody(),
    trailers: () => passableTrailers(request.trailers()),
    upgrade: incoming.upgrade,
  }
}

/** RFC 9110, 8.6. */
function bodiless(status: number): boolean {
  return status === 204 || status === 304 || status < 200
}

function wholeMs(ms: number): string {
  return String(Math.floor(ms))
}
