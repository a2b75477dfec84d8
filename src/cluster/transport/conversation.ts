// One connection between two nodes that both have the key, from its hello to its farewell.
import type { Duplex } from 'node:stream'
import type { Clock } from '../../base/clock.ts'
import { codeOf, describeError } from '../../base/errors.ts'
import { RpcClosed, RpcProtocol } from '../../rpc/errors.ts'
import { RpcConnection } from '../../rpc/rpc.ts'
import {
  type EndReason,
  farewell,
  farewellTextMax,
  frameBytesMax,
  type Hello,
  hello,
  type Peer,
  type PeerEnd,
  type TransportHandlers,
} from './transport.ts'

/** The transport's own messages. Wire format: this list only ever grows. */
const say = { hello: 'transport.hello', farewell: 'transport.farewell', ping: 'transport.ping' }

/**
 * What may wait for a peer that does not read, besides what the system buffers. Four of the largest messages; with
 * less, a burst of writes makes healthy peers miss pushes, and each of a hundred stuck peers costs this much memory.
 */
const unsentBytesMax = 4 << 20

/** Calls at once, each way: pushes that wait to be acknowledged, mostly. A peer that is this far behind pulls. */
const inFlightMax = 256

/** The other end closes after its farewell; one that has not done so by then does not keep to it. */
const farewellMs = 2000

export interface ConversationOptions {
  readonly clock: Clock
  /** Methods that overtake others. */
  readonly urgent: ReadonlySet<string>
  readonly handlers: TransportHandlers
  /** The other end has introduced itself. @returns the peer that it is, or undefined if it was refused */
  readonly introduced: (said: Hello) => Peer | undefined
  /** Called once, when nothing can be sent any more. */
  readonly ended: (end: PeerEnd) => void
}

export class Conversation {
  /** Resolves once its socket is closed. */
  readonly closed: Promise<void>
  readonly #connection: RpcConnection
  readonly #options: ConversationOptions
  #peer: Peer | undefined
  #isOver = false

  constructor(socket: Duplex, options: ConversationOptions) {
    this.#options = options
    this.#connection = new RpcConnection(socket, {
      clock: options.clock,
      frameBytesMax,
      inFlightMax,
      unsentBytesMax,
      urgent: new Set([...options.urgent, say.farewell, say.ping]),
      handle: (method, params) => this.#handle(method, params),
      receive: (method, params) => this.#receive(method, params),
    })
    this.closed = this.#connection.closed.then((error) => this.#finish(endOf(error)))
  }

  hello(own: unknown): void {
    this.#connection.notify(say.hello, own)
  }

  /** Whether the other end answers within `timeoutMs`. */
  async answers(timeoutMs: number): Promise<boolean> {
    try {
      await this.#connection.call(say.ping, undefined, timeoutMs)
      return true
    } catch {
      return false
    }
  }

  call(method: string, params: unknown, timeoutMs: number): Promise<unknown> {
    return this.#connection.call(method, params, timeoutMs)
  }

  notify(method: string, params: unknown): boolean {
    return this.#connection.notify(method, params)
  }

  /** Ends it, telling the other end why. Calls of ours that wait are rejected; its own that are under way, answered. */
  part(reason: EndReason, message: string): void {
    if (this.#isOver) return
    this.#connection.notify(say.farewell, { reason, message: message.slice(0, farewellTextMax) })
    void this.#connection.stop()
    this.#finish({ by: 'us', reason, message })
  }

  #handle(method: string, params: unknown): unknown {
    if (!this.#peer || this.#isOver) throw new RpcClosed()
    if (method === say.ping) return null
    return this.#options.handlers.handle(this.#peer, method, params)
  }

  #receive(method: string, params: unknown): void {
    if (this.#isOver) return
    try {
      this.#take(method, params)
    } catch (error) {
      this.part('protocol', describeError(error))
    }
  }

  #take(method: string, params: unknown): void {
    if (method === say.farewell) this.#hearFarewell(farewell.parse(params))
    else if (method === say.hello) this.#hearHello(hello.parse(params))
    else if (this.#peer) this.#options.handlers.receive(this.#peer, method, params)
    else throw new RpcProtocol(`expected a hello first, got "${method}"`)
  }

  #hearHello(said: Hello): void {
    if (this.#peer) throw new RpcProtocol('expected one hello, got another')
    this.#peer = this.#options.introduced(said)
  }

  #hearFarewell({ reason, message }: { reason: string; message: string }): void {
    // Answers to calls of ours may still be on their way, so the other end closes.
    const timer = this.#options.clock.after(farewellMs, () => void this.#connection.stop(0))
    void this.closed.then(() => timer.cancel())
    this.#finish({ by: 'them', reason, message })
  }

  #finish(end: PeerEnd): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#options.ended(end)
  }
}

function endOf(error: Error | undefined): PeerEnd {
  if (!error) return { by: 'wire', reason: 'lost', message: 'the connection was closed without a word' }
  const reason = codeOf(error) === 'rpc-protocol' ? 'protocol' : 'lost'
  return { by: 'wire', reason, message: describeError(error) }
}
