// Requests and answers over any byte stream, in both directions at once. Each end may call the other.
import type { Duplex } from 'node:stream'
import { z } from 'zod'
import type { Clock, Timer } from '../base/clock.ts'
import { codeOf, describeError } from '../base/errors.ts'
import { RemoteError, RpcBusy, RpcClosed, RpcProtocol, RpcTimeout } from './errors.ts'
import { Outbox } from './outbox.ts'
import { encodeFrame, FrameDecoder } from './wire.ts'

/**
 * Carries out what the other end asks. What it returns or throws is the answer: an error's code, message and
 * hint travel, its stack and causes do not.
 * @param params  as they came: JSON, to be checked by whoever uses them
 */
export type Handler = (method: string, params: unknown) => unknown

/**
 * Takes a notice, which has no answer. What it throws closes the connection: the other end does not keep to
 * what was agreed, and there is no other way to tell it.
 */
export type Receiver = (method: string, params: unknown) => void

export interface RpcOptions {
  readonly clock: Clock
  readonly handle: Handler
  /** By default notices are not expected, and close the connection. */
  readonly receive?: Receiver
  /**
   * Methods whose requests and notices, small ones, overtake all others that wait to be sent. Default none. The
   * others keep their order among themselves; answers have none, and small ones overtake too.
   */
  readonly urgent?: ReadonlySet<string>
  /** Longest message either way. The default holds any listing of a node's state with room to spare. */
  readonly frameBytesMax?: number
  /** Longest answer that this end gives, where the other end takes more than it may send. Default `frameBytesMax`. */
  readonly answerBytesMax?: number
  /** Calls under way at once, counted apart for each direction; more are refused as busy. */
  readonly inFlightMax?: number
  /** Bytes that may wait for the other end to take them, urgent ones apart; a call beyond it is refused as busy. */
  readonly unsentBytesMax?: number
}

const defaults = {
  frameBytesMax: 1 << 20,
  inFlightMax: 64,
  unsentBytesMax: 8 << 20,
  urgent: new Set<string>(),
  receive: (method: string) => {
    throw new RpcProtocol(`no notice is expected here, got "${method}"`)
  },
}

/** Answers up to this long overtake what else waits: they are sent in one record of TLS and delay nobody. */
const urgentAnswerBytesMax = 16 << 10

/** Wire format: members may be added, none may change its meaning. What has a method and no id is a notice. */
const id = z.int().nonnegative()
const call = z.object({ id: id.optional(), method: z.string().max(64), params: z.unknown().optional() })
const failure = z.object({
  id,
  error: z.object({ code: z.string(), message: z.string(), hint: z.string().optional() }),
})
const result = z.object({ id, result: z.unknown() })

/** What `received` must be by what it has: said at once, where a union would try one after the other. */
function shapeOf(received: unknown) {
  if (typeof received !== 'object' || received === null) return call
  return 'method' in received ? call : 'error' in received ? failure : result
}

interface Waiting {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
  readonly timer: Timer
}

/** One end of a connection, which it owns: stopping it closes the stream, and a lost stream stops it. */
export class RpcConnection {
  /** Resolves once nothing can be sent or received any more, with the reason unless it was asked to stop. */
  readonly closed: Promise<Error | undefined>

  readonly #stream: Duplex
  readonly #options: Required<RpcOptions>
  readonly #outbox: Outbox
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 0
  #handling = 0
  #stopping = false
  #reason: Error | undefined

  constructor(stream: Duplex, options: RpcOptions) {
    this.#stream = stream
    const { frameBytesMax = defaults.frameBytesMax } = options
    this.#options = { answerBytesMax: frameBytesMax, ...defaults, ...options }
    this.#outbox = new Outbox(stream, this.#options.unsentBytesMax)
    const decoder = new FrameDecoder(this.#options.frameBytesMax)
    stream.on('data', (chunk: Buffer) => this.#receive(decoder, chunk))
    stream.on('error', (error) => {
      this.#reason ??= error
    })
    // The other end has said all it had to: what it was asked can't be answered any more.
    stream.on('end', () => stream.end())
    this.closed = new Promise((resolve) => {
      stream.once('close', () => {
        this.#rejectAll()
        resolve(this.#stopping ? undefined : this.#reason)
      })
    })
  }

  /**
   * Asks the other end.
   * @param params  a JSON value; undefined for none
   * @returns       its answer, to be checked by the caller
   * @throws {RemoteError} with the code that the other end answered
   * @throws {RpcTimeout} when it did not answer in time
   * @throws {RpcBusy} when too much is under way; {RpcClosed} when the connection is or gets closed
   */
  async call(method: string, params: unknown, timeoutMs: number): Promise<unknown> {
    const { inFlightMax, clock, frameBytesMax } = this.#options
    if (!this.#isOpen()) throw new RpcClosed(this.#reason)
    if (this.#waiting.size >= inFlightMax) throw new RpcBusy(`${inFlightMax} calls are under way`)

    const id = this.#nextId++
    const frame = encodeFrame({ id, method, params }, frameBytesMax)
    return new Promise((resolve, reject) => {
      const timer = clock.after(timeoutMs, () => {
        this.#waiting.delete(id)
        reject(new RpcTimeout(method, timeoutMs))
      })
      this.#waiting.set(id, { resolve, reject, timer })
      if (this.#outbox.send(frame, this.#isUrgent(method))) return
      this.#waiting.delete(id)
      timer.cancel()
      reject(new RpcBusy('the other end does not read'))
    })
  }

  /**
   * Tells the other end, without an answer and without knowing whether it arrives.
   * @returns  false when nothing was sent: too much waits for the other end already, or the connection is closed
   * @throws {RpcProtocol} when the message is longer than a frame may be
   */
  notify(method: string, params: unknown): boolean {
    if (!this.#isOpen()) return false
    return this.#outbox.send(
      encodeFrame({ method, params }, this.#options.frameBytesMax),
      this.#isUrgent(method),
    )
  }

  /**
   * Closes once the answers to what is being handled are sent, or after `graceMs`. Calls of ours that wait for an
   * answer are rejected at once.
   */
  async stop(graceMs = 1000): Promise<void> {
    this.#stopping = true
    this.#rejectAll()
    const timer = this.#options.clock.after(graceMs, () => this.#stream.destroy())
    if (this.#handling === 0) this.#end()
    await this.closed
    timer.cancel()
  }

  #isOpen(): boolean {
    return !this.#stopping && !this.#stream.destroyed && this.#stream.writable
  }

  #isUrgent(method: string): boolean {
    return this.#options.urgent.has(method)
  }

  #end(): void {
    // Not destroyed at once: what the other end has sent and is not read yet would make the system take back what
    // it has not read either, answers included. It ends its side too, and that closes both.
    this.#outbox.end()
  }

  #receive(decoder: FrameDecoder, chunk: Buffer): void {
    try {
      for (const received of decoder.push(chunk)) this.#accept(received)
    } catch (error) {
      this.#reason ??= error as Error
      this.#stream.destroy()
    }
  }

  #accept(received: unknown): void {
    const parsed = shapeOf(received).safeParse(received)
    if (!parsed.success) throw new RpcProtocol('expected a request or an answer', parsed.error)
    const { data } = parsed
    if (!('method' in data)) this.#settle(data)
    else if (data.id === undefined) this.#options.receive(data.method, data.params)
    else void this.#handle(data.id, data.method, data.params)
  }

  async #handle(id: number, method: string, params: unknown): Promise<void> {
    if (this.#handling >= this.#options.inFlightMax) {
      this.#send({
        id,
        error: errorShape(new RpcBusy(`${this.#options.inFlightMax} calls are being handled`)),
      })
      return
    }
    this.#handling++
    try {
      const result = await this.#options.handle(method, params)
      this.#send({ id, result: result ?? null })
    } catch (error) {
      this.#send({ id, error: errorShape(error) })
    } finally {
      this.#handling--
      if (this.#stopping && this.#handling === 0) this.#end()
    }
  }

  #settle(answer: {
    id: number
    result?: unknown
    error?: ConstructorParameters<typeof RemoteError>[0]
  }): void {
    const waiting = this.#waiting.get(answer.id)
    // Its caller has given up; the answer comes too late for anybody.
    if (!waiting) return
    this.#waiting.delete(answer.id)
    waiting.timer.cancel()
    if (answer.error) waiting.reject(new RemoteError(answer.error))
    else waiting.resolve(answer.result)
  }

  /** Sends an answer. An end that asks but does not take its answers is cut off rather than kept in memory. */
  #send(answer: object): void {
    if (this.#stream.destroyed || !this.#stream.writable) return
    const frame = this.#frame(answer as { id: number }, this.#options.answerBytesMax)
    if (this.#outbox.send(frame, frame.length <= urgentAnswerBytesMax)) return
    this.#reason ??= new RpcBusy('the other end does not read')
    this.#stream.destroy()
  }

  #frame(answer: { id: number }, frameBytesMax: number): Buffer {
    try {
      return encodeFrame(answer, frameBytesMax)
    } catch (error) {
      return encodeFrame({ id: answer.id, error: errorShape(error) }, frameBytesMax)
    }
  }

  #rejectAll(): void {
    for (const [id, { reject, timer }] of this.#waiting) {
      this.#waiting.delete(id)
      timer.cancel()
      reject(new RpcClosed(this.#reason))
    }
  }
}

function errorShape(error: unknown): { code: string; message: string; hint?: string | undefined } {
  const hint = (error as { hint?: string } | undefined)?.hint
  return { code: codeOf(error) ?? 'internal', message: describeError(error), hint }
}
