// Records to an HTTP server, each as the body of one request, over connections that are kept and reused.
import { once } from 'node:events'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type Clock, type Timer, within } from '../../base/clock.ts'
import { codeOf } from '../../base/errors.ts'
import type { ConnectionTimes } from '../receivers.ts'
import { type Carrier, NotSent } from '../record-queue.ts'
import { ConnectionClosed, HttpConnection } from './http-connection.ts'

export interface HttpCarrierOptions extends ConnectionTimes {
  readonly endpoint: URL
  readonly method: string
  readonly clock: Clock
}

interface Idle {
  readonly connection: HttpConnection
  readonly end: Timer
}

export class HttpCarrier implements Carrier {
  readonly receiver: string
  /** More carry more to a receiver that is far away; each is a connection to it, from every worker of every node. */
  readonly lanes = 32
  readonly recordsAtOnce = 1
  readonly charsAtOnce = 0
  readonly #options: HttpCarrierOptions
  /** What comes before the length of a record, and between that and the record. */
  readonly #head: string
  readonly #headEnd: string
  readonly #open = new Set<{ close(error: Error): void }>()
  /** The one used last at the end: it is the least likely to have been closed. */
  readonly #idle: Idle[] = []
  #closed = false

  constructor(options: HttpCarrierOptions) {
    const { endpoint, method, keepaliveMs } = options
    // Some endpoints have a token in their path, which is nothing for the node's log.
    this.receiver = endpoint.origin
    this.#options = options
    const fields = `Host: ${endpoint.hostname}\r\nContent-Type: application/json\r\nContent-Length: `
    this.#head = `${method} ${endpoint.pathname} HTTP/1.1\r\n${fields}`
    this.#headEnd = `\r\nConnection: ${keepaliveMs > 0 ? 'keep-alive' : 'close'}\r\n\r\n`
  }

  async carry([record = '']: readonly string[]): Promise<void> {
    const request = this.#head + Buffer.byteLength(record) + this.#headEnd + record
    const kept = this.#takeIdle()
    if (!kept) return this.#send(await this.#connect(), request)
    try {
      await this.#send(kept, request)
    } catch (error) {
      // A receiver may close an idle connection in the moment in which it is used again; hardly ever has it read from it.
      const code = codeOf(error)
      const isGone = error instanceof ConnectionClosed || code === 'ECONNRESET' || code === 'EPIPE'
      if (!isGone || this.#closed) throw error
      await this.#send(await this.#connect(), request)
    }
  }

  close(): void {
    this.#closed = true
    for (const { end } of this.#idle) end.cancel()
    for (const one of this.#open) one.close(new Error('it was given up'))
  }

  /** What the answer says is not looked at. */
  async #send(connection: HttpConnection, request: string): Promise<void> {
    const { clock, timeoutMs } = this.#options
    const late = clock.after(timeoutMs, () => connection.close(new Error(`no answer within ${timeoutMs} ms`)))
    try {
      await connection.send(request)
    } finally {
      late.cancel()
      this.#keep(connection)
    }
  }

  #keep(connection: HttpConnection): void {
    const { clock, keepaliveMs } = this.#options
    if (connection.isOpen && keepaliveMs > 0 && !this.#closed) {
      const end = clock.after(keepaliveMs, () => this.#drop(connection))
      this.#idle.push({ connection, end })
    } else this.#drop(connection)
  }

  #takeIdle(): HttpConnection | undefined {
    for (let idle = this.#idle.pop(); idle; idle = this.#idle.pop()) {
      idle.end.cancel()
      if (idle.connection.isOpen) return idle.connection
      this.#open.delete(idle.connection)
    }
    return undefined
  }

  #drop(connection: HttpConnection): void {
    connection.close(new Error('it was idle'))
    this.#open.delete(connection)
    const at = this.#idle.findIndex((idle) => idle.connection === connection)
    if (at >= 0) this.#idle.splice(at, 1)
  }

  /** @throws {NotSent} when the receiver is not reached in time */
  async #connect(): Promise<HttpConnection> {
    if (this.#closed) throw new NotSent(new Error('nothing is sent any more'))
    const { endpoint, clock, timeoutMs } = this.#options
    const isEncrypted = endpoint.protocol === 'https:'
    const socket = isEncrypted ? openTls(endpoint) : openPlain(endpoint)
    const opening = { close: (error: Error) => void socket.destroy(error) }
    this.#open.add(opening)
    try {
      const late = () => new Error(`no connection within ${timeoutMs} ms`)
      await within(clock, timeoutMs, once(socket, isEncrypted ? 'secureConnect' : 'connect'), late)
    } catch (error) {
      socket.on('error', () => {}).destroy()
      throw new NotSent(error)
    } finally {
      this.#open.delete(opening)
    }
    const connection = new HttpConnection(socket)
    this.#open.add(connection)
    return connection
  }
}

function openPlain(endpoint: URL): Socket {
  return connect({ host: hostOf(endpoint), port: Number(endpoint.port || 80), noDelay: true })
}

function openTls(endpoint: URL): Socket {
  const host = hostOf(endpoint)
  const port = Number(endpoint.port || 443)
  // As in 0.8: receivers of logs tend to have certificates that they made for themselves.
  const trust = { rejectUnauthorized: false, servername: isIP(host) === 0 ? host : '' }
  return connectTls({ host, port, ...trust }).setNoDelay()
}

function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '')
}
