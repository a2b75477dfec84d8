// One connection to a directory: one request at a time, each answered before the next.
import { once } from 'node:events'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, type SecureContext } from 'node:tls'
import { type Clock, within } from '../../base/clock.ts'
import { extentOf } from './ber.ts'
import { type Answer, bindRequest, parseAnswer, startTlsRequest, unbindRequest } from './message.ts'

/** Where a directory is, and how it is spoken to. */
export interface Place {
  readonly host: string
  readonly port: number
  /** Whether the connection is encrypted, by StartTLS, before a name or a password is sent. */
  readonly startTls: boolean
  /** Whether the certificate has to be the host's, by an authority that is trusted. Without StartTLS there is none. */
  readonly verify: boolean
  /** For opening the connection, and for each answer. */
  readonly timeoutMs: number
}

export interface ConnectionOptions extends Place {
  readonly clock: Clock
  /** Has the authorities that are trusted. */
  readonly context: () => SecureContext
}

/** Answers to a bind are some ten bytes and a sentence; what is longer is none. */
const answerBytesMax = 64 * 1024

export class DirectoryConnection {
  readonly #options: ConnectionOptions
  #socket: Socket
  #received: Buffer = Buffer.alloc(0)
  #lastId = 0
  #pending: PromiseWithResolvers<Answer> | undefined
  /** Why nothing can be asked any more. */
  #ended: Error | undefined
  #wasClosed = false

  constructor(options: ConnectionOptions) {
    const { host, port } = options
    this.#options = options
    this.#socket = connectTcp({ host, port, noDelay: true })
    this.#listen(this.#socket)
  }

  /** Resolves when it can be asked. Rejects when there is no connection, or none that is encrypted as it should be, in time. */
  async open(): Promise<void> {
    const { startTls, timeoutMs, clock } = this.#options
    try {
      const opened = this.#open(startTls)
      await within(clock, timeoutMs, opened, () => new Error(`no connection within ${timeoutMs} ms`))
    } catch (error) {
      this.#end(error as Error)
      throw error
    }
  }

  get isOpen(): boolean {
    return this.#ended === undefined
  }

  /** Whether it was the directory, or the way to it, that ended it, and not that an answer was wrong or late. */
  get hasBeenClosed(): boolean {
    return this.#wasClosed
  }

  /**
   * The answer to a simple bind, whatever it is. Whoever was bound before is not any more.
   * Rejects when there is none in time; that is the end of the connection.
   */
  async bind(dn: string, password: string): Promise<Answer> {
    const { clock, timeoutMs } = this.#options
    const answered = this.#ask('bind', (id) => bindRequest(id, dn, password))
    try {
      return await within(clock, timeoutMs, answered, () => new Error(`no answer within ${timeoutMs} ms`))
    } catch (error) {
      this.#end(error as Error)
      throw error
    }
  }

  /** Says so to the directory, if it is not at something. */
  close(): void {
    if (this.#ended) return
    if (!this.#pending) this.#socket.write(unbindRequest(++this.#lastId))
    this.#end(new Error('the connection was given up'))
  }

  async #open(startTls: boolean): Promise<void> {
    await once(this.#socket, 'connect')
    if (!startTls) return
    const { code, diagnostic } = await this.#ask('extended', startTlsRequest)
    if (code !== 0) throw new Error(`StartTLS was refused with code ${code}: ${diagnostic}`)
    await this.#encrypt()
  }

  /**
   * What came in the clear must be over by now: anything more would be read as if it had come encrypted, and could be
   * anybody's answer to the bind that follows.
   */
  async #encrypt(): Promise<void> {
    if (this.#ended) throw this.#ended
    if (this.#received.length > 0) throw new Error('the directory said more in the clear than it was asked')
    const { host, verify, context } = this.#options
    const plain = this.#socket
    plain.removeAllListeners('data')
    const socket = connectTls({
      socket: plain,
      host,
      servername: isIP(host) === 0 ? host : '',
      rejectUnauthorized: verify,
      secureContext: context(),
    })
    this.#socket = socket
    this.#listen(socket)
    await once(socket, 'secureConnect')
  }

  #listen(socket: Socket): void {
    socket.on('data', (bytes) => this.#receive(bytes))
    socket.on('error', (error) => this.#close(error))
    for (const event of ['end', 'close']) {
      socket.on(event, () => this.#close(new Error('the directory closed the connection')))
    }
  }

  #ask(kind: Answer['kind'], request: (id: number) => Buffer): Promise<Answer> {
    if (this.#ended) return Promise.reject(this.#ended)
    const id = ++this.#lastId
    const pending = Promise.withResolvers<Answer>()
    this.#pending = pending
    this.#socket.write(request(id))
    return pending.promise.then((answer) => {
      if (answer.messageId === id && answer.kind === kind) return answer
      throw new Error('the directory answered something else than it was asked')
    })
  }

  #receive(bytes: Buffer): void {
    this.#received = Buffer.concat([this.#received, bytes])
    try {
      for (let message = this.#takeMessage(); message; message = this.#takeMessage()) {
        this.#hear(parseAnswer(message))
      }
    } catch (cause) {
      this.#end(new Error('what the directory sends is not LDAP', { cause }))
    }
  }

  #takeMessage(): Buffer | undefined {
    const extent = extentOf(this.#received)
    if (extent === undefined) return undefined
    if (extent > answerBytesMax) throw new RangeError(`an answer of ${extent} bytes`)
    if (extent > this.#received.length) return undefined
    const message = this.#received.subarray(0, extent)
    this.#received = this.#received.subarray(extent)
    return message
  }

  /** Unasked there is nothing but the notice that the directory is about to close (RFC 4511, 4.4.1). */
  #hear(answer: Answer): void {
    const pending = this.#pending
    this.#pending = undefined
    if (pending) pending.resolve(answer)
    else this.#end(new Error(`the directory says, unasked: ${answer.diagnostic}`))
  }

  #close(error: Error): void {
    if (!this.#ended) this.#wasClosed = true
    this.#end(error)
  }

  #end(error: Error): void {
    if (this.#ended) return
    this.#ended = error
    this.#socket.destroy()
    this.#pending?.reject(error)
    this.#pending = undefined
  }
}
