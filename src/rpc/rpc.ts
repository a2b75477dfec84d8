// Requests and answers over any byte stream, in both directions at once. Each end may call the other.
import type { Duplex } from 'node:stream'
import { z } from 'zod'
import type { Clock, Timer } from '../base/clock.ts'
import { codeOf, describeError } from '../base/errors.ts'
import { RemoteError, RpcBusy, RpcClosed, RpcProtocol, RpcTimeout } from './errors.ts'
import { encodeFrame, FrameDecoder } from './wire.ts'

/**
 * Carries out what the other end asks. What it returns or throws is the answer: an error's code, message and
 * hint travel, its stack and causes do not.
 * @param params  as they came: JSON, to be checked by whoever uses them
 */
export type Handler = (method: string, params: unknown) => unknown

export interface RpcOptions {
  readonly clock: Clock
  readonly handle: Handler
  /** Longest message either way. The default holds any listing of a node's state with room to spare. */
  readonly frameBytesMax?: number
  /** Calls under way at once, counted apart for each direction; more are refused as busy. */
  readonly inFlightMax?: number
  /** Bytes that may wait for the other end to take them; a call beyond it is refused as busy. */
  readonly unsentBytesMax?: number
}

const defaults = { frameBytesMax: 1 << 20, inFlightMax: 64, unsentBytesMax: 8 << 20 }

/** Wire format: members may be added, none may change its meaning. */
const message = z.union([
  z.object({ id: z.int().nonnegative(), method: z.string().max(64), params: z.unknown().optional() }),
  z.object({
    id: z.int().nonnegative(),
    error: z.object({ code: z.string(), message: z.string(), hint: z.string().optional() }),
  }),
  z.object({ id: z.int().nonnegative(), result: z.unknown() }),
])

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
  readonly #waiting = new Map<number, Waiting>()
  #nextId = 0
  #handling = 0
  #stopping = false
  #reason: Error | undefined

  constructor(stream: Duplex, options: RpcOptions) {
    this.#stream = stream
    this.#options = { ...defaults, ...options }
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
    const { inFlightMax, unsentBytesMax, clock, frameBytesMax } = this.#options
    if (this.#stopping || this.#stream.destroyed || !this.#stream.writable) throw new RpcClosed(this.#reason)
    if (this.#waiting.size >= inFlightMax) throw new RpcBusy(`${inFlightMax} calls are under way`)
    if (this.#stream.writableLength > unsentBytesMax) throw new RpcBusy('the other end does not read')

    const id = this.#nextId++
    const frame = encodeFrame({ id, method, params }, frameBytesMax)
    return new Promise((resolve, reject) => {
      const timer = clock.after(timeoutMs, () => {
        this.#waiting.delete(id)
        reject(new RpcTimeout(method, timeoutMs))
      })
      this.#waiting.set(id, { resolve, reject, timer })
      this.#stream.write(frame)
    })
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

  #end(): void {
    this.#stream.end(() => this.#stream.destroy())
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
    const parsed = message.safeParse(received)
    if (!parsed.success) throw new RpcProtocol('expected a request or an answer', parsed.error)
    if ('method' in parsed.data) void this.#handle(parsed.data)
    else this.#settle(parsed.data)
  }

  async #handle({ id, method, params }: { id: number; method: string; params?: unknown }): Promise<void> {
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
    const { unsentBytesMax, frameBytesMax } = this.#options
    if (this.#stream.writableLength > unsentBytesMax) {
      this.#reason ??= new RpcBusy('the other end does not read')
      this.#stream.destroy()
      return
    }
    this.#stream.write(this.#frame(answer as { id: number }, frameBytesMax))
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
