// One connection to an upstream, plain or TLS: bytes in and out, for one exchange after the other.
import net, { isIP, type LookupFunction, type Socket } from 'node:net'
import tls, { type ConnectionOptions } from 'node:tls'
import type { UpstreamUrl } from '../../entities/upstream-url.ts'
import { type AnswerReader, Malformed, ResponseParser } from './response-parser.ts'

/** Who uses the connection now. */
export interface ConnectionUser extends AnswerReader {
  /** It is there: what is sent from now on may arrive. */
  connected(): void
  /** After `write` returned false: the system has taken all of it. */
  drained(): void
  /** What came is no answer; the connection is closed. */
  malformed(error: Malformed): void
  /** It is gone, and nothing more will come. @param error  undefined when the upstream ended it in order */
  closed(error: Error | undefined): void
  /** Told the time now and then. */
  checkTime(now: number): void
}

/** Who keeps it when nobody uses it. */
export interface ConnectionOwner {
  opened(connection: UpstreamConnection): void
  /** It may carry another request. */
  freed(connection: UpstreamConnection): void
  /** Nobody is to use it any more; at the latest when it is closed, and perhaps more than once. */
  spent(connection: UpstreamConnection): void
  closed(connection: UpstreamConnection, wasOpen: boolean): void
  /** TLS goes on with it in the next connection, which saves both sides a part of the handshake. */
  session: Buffer | undefined
}

export interface ConnectionParts {
  readonly owner: ConnectionOwner
  readonly upstream: UpstreamUrl
  readonly lookup: LookupFunction
  /** For TLS. */
  readonly trust: () => ConnectionOptions
  /** Whether bytes can be piped on; else they are read into `readBuffer`. Those of TLS always can. */
  readonly asStream: boolean
  /** Whether it is opened ahead of the request that will use it. */
  readonly isSpare: boolean
}

/** How long one is silent before the system asks whether the other side is still there. In ms. */
const keepAliveInitialDelay = 30_000

/**
 * All connections of a thread read into it: what is to be kept is copied, and what is not has cost no memory.
 * One read fills it at the most, before anybody else is called.
 */
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024)

export class UpstreamConnection {
  readonly #owner: ConnectionOwner
  readonly #socket: Socket
  readonly #parser = new ResponseParser()
  /** Whether what is read has to be copied to be kept. */
  readonly sharesBuffer: boolean
  #user: ConnectionUser | undefined
  #isOpen = false
  #isReused = false
  #isSpare: boolean
  #isPaused = false
  #isDetached = false
  #error: Error | undefined
  /** Since when nobody uses it. */
  idleSince = 0

  constructor({ owner, upstream, lookup, trust, asStream, isSpare }: ConnectionParts) {
    this.#owner = owner
    this.#isSpare = isSpare
    this.sharesBuffer = !upstream.encrypted && !asStream
    const { host, port } = upstream
    const options = {
      ...{ host, port, lookup, noDelay: true, keepAlive: true, keepAliveInitialDelay },
      // Node gives each address of a name 250 ms before it tries the next; far away that is one round trip.
      autoSelectFamilyAttemptTimeout: 1000,
    }
    if (upstream.encrypted) this.#socket = this.#connectTls(options, trust())
    else if (asStream) this.#socket = net.connect(options)
    else this.#socket = net.connect({ ...options, onread: { buffer: readBuffer, callback: this.#take } })
    const socket = this.#socket
    if (!this.sharesBuffer) socket.on('data', this.#takeChunk)
    socket.once(upstream.encrypted ? 'secureConnect' : 'connect', () => this.#opened())
    socket.on('drain', () => this.#drained())
    socket.on('end', () => this.#ended())
    socket.on('error', (error) => this.#broke(error))
    socket.once('close', () => this.#closed())
  }

  /** Whether a request can be sent at once. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Whether it was open before the request that uses it came: it has carried another one, or was opened ahead. */
  get isReused(): boolean {
    return this.#isReused
  }

  /** Whether it was opened ahead, and has not carried a request to its end yet. */
  get isSpare(): boolean {
    return this.#isSpare
  }

  /** Whether nothing came of an answer yet. */
  get isUntouched(): boolean {
    return this.#parser.isUntouched
  }

  /** How long it may be kept while nobody uses it. */
  get idleMs(): number {
    return this.#parser.idleMs
  }

  /** @param method  of the request that will be sent */
  begin(user: ConnectionUser, method: string): void {
    this.#user = user
    this.#isReused = this.#isOpen
    this.#parser.begin(method, user)
  }

  /** False: what follows had better wait until `drained`. */
  write(text: string): boolean {
    return this.#socket.write(text, 'latin1')
  }

  writeBytes(bytes: Uint8Array): boolean {
    return this.#socket.write(bytes)
  }

  /** What is written until `uncork` goes together. */
  cork(): void {
    this.#socket.cork()
  }

  uncork(): void {
    this.#socket.uncork()
  }

  get needsDrain(): boolean {
    return this.#socket.writableNeedDrain
  }

  pause(): void {
    this.#isPaused = true
    this.#socket.pause()
  }

  resume(): void {
    this.#isPaused = false
    this.#socket.resume()
  }

  /** Nobody uses it any more. @param canGoOn  whether somebody else may */
  release(canGoOn: boolean): void {
    this.#user = undefined
    if (!canGoOn || !this.#socket.writable) {
      this.destroy()
      return
    }
    if (this.#isPaused) this.resume()
    this.#isSpare = false
    this.#owner.freed(this)
  }

  destroy(): void {
    this.#user = undefined
    this.#parser.leave()
    this.#owner.spent(this)
    this.#socket.destroy()
  }

  /** Hands over the bare connection of one that is a stream. Its user is still told of its end, and the time. */
  detach(): Socket {
    this.#isDetached = true
    this.#socket.off('data', this.#takeChunk)
    this.#socket.pause()
    return this.#socket
  }

  checkTime(now: number): void {
    this.#user?.checkTime(now)
  }

  #connectTls(options: object & { host: string }, trust: ConnectionOptions): Socket {
    const { session } = this.#owner
    const socket = tls.connect({
      ...options,
      ...trust,
      ...(session && { session }),
      // The upstream's own name, whatever Host says; an address is no name (RFC 6066, 3).
      servername: isIP(options.host) === 0 ? options.host : '',
    })
    socket.on('session', (session) => {
      this.#owner.session = session
    })
    return socket
  }

  #opened(): void {
    this.#isOpen = true
    const user = this.#user
    // May hand it to somebody, who sees that it is open.
    this.#owner.opened(this)
    user?.connected()
  }

  readonly #takeChunk = (chunk: Buffer): void => void this.#take(chunk.length, chunk)

  readonly #take = (length: number, bytes: Uint8Array): boolean => {
    try {
      this.#parser.read(bytes as Buffer, length)
    } catch (error) {
      if (!(error instanceof Malformed)) throw error
      const user = this.#user
      this.destroy()
      user?.malformed(error)
    }
    return true
  }

  #drained(): void {
    if (!this.#isDetached) this.#user?.drained()
  }

  #ended(): void {
    if (this.#isDetached) return
    // It may have been the end of an answer, too; who had that uses it no more.
    if (!this.#parser.finish()) this.#lost(undefined)
    this.destroy()
  }

  #broke(error: Error): void {
    this.#error = error
    // What breaks it also closes it.
    if (this.#isDetached) return
    if (!this.#isOpen) this.#owner.session = undefined
    this.#lost(error)
    this.#owner.spent(this)
  }

  #closed(): void {
    this.#lost(this.#error)
    this.#owner.spent(this)
    this.#owner.closed(this, this.#isOpen)
  }

  #lost(error: Error | undefined): void {
    const user = this.#user
    this.#user = undefined
    user?.closed(error)
  }
}
