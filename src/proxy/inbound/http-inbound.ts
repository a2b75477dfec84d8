// Clients over HTTP/1.1, plain or TLS, on node:http: its strict parser faces the untrusted side.
import { once } from 'node:events'
import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { type Address, formatAddress } from '../../base/address.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import { codeOf, describeError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { KeyPair } from '../../plugins/plugin.ts'
import { type Counter, Counters } from '../counters.ts'
import { ListenFailed } from '../errors.ts'
import { Repeats } from '../repeats.ts'
import type { Incoming } from '../request.ts'
import { headText } from './head.ts'
import { HttpReply } from './http-reply.ts'
import type { Handler, Inbound } from './inbound.ts'
import { createTlsServer, present, type TlsOptions } from './tls-server.ts'
import { UpgradeReply } from './upgrade-reply.ts'

export interface HttpInboundOptions {
  readonly handler: Handler
  readonly clock: Clock
  readonly logger: Logger
  /** `troop/<version>`, for answers to what can't be read as a request. */
  readonly product: string
  /** See counters.ts. */
  readonly counters: Float64Array
  /** Several threads listen on one port and the system spreads connections. Default false. */
  readonly reusePort?: boolean
  /** How long an idle connection is kept, a head may take, and a client may stand still. Default 60,000. */
  readonly timeoutMs?: number
  /** What `stop` gives to open requests. Default 1,000. */
  readonly graceMs?: number
  /** Connections are TLS. */
  readonly tls?: TlsOptions
}

/** Heads longer than this are answered 431. The contract's web server took 32 KiB too. */
const headBytesMax = 32 * 1024

/** Connections that the system holds until they are accepted; below the usual somaxconn of 4,096 it has no effect. */
const backlog = 4096

export class HttpInbound implements Inbound {
  readonly #options: HttpInboundOptions
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #counters: Counters
  readonly #server: Server
  readonly #tlsServer: https.Server | undefined
  /** That requests come from: not those that are still in their handshake. */
  readonly #connections = new Map<Socket, Connection>()
  /** All, as TCP has them. */
  readonly #sockets = new Set<Socket>()
  readonly #repeats: Repeats
  readonly #timeoutMs: number
  #draining = false
  #sweep: Timer | undefined

  constructor(options: HttpInboundOptions) {
    const { timeoutMs = 60_000, tls } = options
    this.#options = options
    this.#clock = options.clock
    this.#logger = options.logger.scope('proxy')
    this.#counters = new Counters(options.counters)
    this.#repeats = new Repeats(options.clock)
    this.#timeoutMs = timeoutMs
    const serverOptions = {
      insecureHTTPParser: false,
      maxHeaderSize: headBytesMax,
      keepAliveTimeout: timeoutMs,
      headersTimeout: timeoutMs,
      // A whole upload may take as long as it likes, as long as it moves: see #check.
      requestTimeout: 0,
      connectionsCheckingInterval: sweepMs(timeoutMs),
      noDelay: true,
      shouldUpgradeCallback: (request: IncomingMessage) => this.#mayUpgrade(request),
    }
    this.#tlsServer = tls && createTlsServer(serverOptions, tls)
    this.#server = this.#tlsServer ?? http.createServer(serverOptions)
    // All fields are kept: by default what comes after the 2,000th would silently be dropped.
    this.#server.maxHeadersCount = 0
    this.#server.on('connection', (socket: Socket) => this.#accepted(socket))
    this.#server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => this.#connected(socket))
    this.#server.on('tlsClientError', (error: Error, socket: Socket) => this.#notAgreed(error, socket))
    this.#server.on('request', (request, response) => this.#take(request, response))
    this.#server.on('checkContinue', (request, response) => this.#takeExpecting(request, response))
    this.#server.on('upgrade', (request, socket, head) => this.#takeUpgrade(request, socket as Socket, head))
    this.#server.on('clientError', (error, socket) => this.#refuse(error, socket as Socket))
  }

  async start(listen: Address): Promise<Address> {
    const { host, port } = listen
    await new Promise<void>((resolve, reject) => {
      const failed = (cause: Error) => reject(new ListenFailed(formatAddress(listen), cause))
      this.#server.once('error', failed)
      this.#server.listen({ host, port, backlog, reusePort: this.#options.reusePort ?? false }, () => {
        this.#server.off('error', failed)
        // Running out of descriptors, for one: the listener lives on, the connection is lost.
        this.#server.on('error', (error) => this.#logger.error('a connection was lost', { error }))
        resolve()
      })
    })
    this.#schedule()
    return { host, port: (this.#server.address() as AddressInfo).port }
  }

  /** Shows another certificate from the next handshake on; for an inbound with `tls`. @throws {Error} as `contextOf` */
  present(pair: KeyPair): void {
    if (this.#tlsServer) present(this.#tlsServer, pair)
  }

  async drain(): Promise<void> {
    this.#draining = true
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const [socket, { replies }] of this.#connections) if (replies.size === 0) socket.destroy()
    await closed
    // The server forgets a connection a moment before its end is told.
    await Promise.all([...this.#connections.keys()].map((socket) => once(socket, 'close')))
    this.#sweep?.cancel()
  }

  async stop(): Promise<void> {
    const { graceMs = 1000 } = this.#options
    const cut = this.#clock.after(graceMs, () => {
      for (const socket of this.#sockets) socket.destroy()
    })
    await this.drain()
    cut.cancel()
  }

  #accepted(socket: Socket): void {
    for (const counter of ['accepted', 'handled', 'active', 'reading'] as const)
      this.#counters.add(counter, 1)
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
  }

  #connected(socket: Socket): void {
    const connection = new Connection(this.#clock.monotonic())
    this.#connections.set(socket, connection)
    socket.once('close', () => {
      this.#connections.delete(socket)
      this.#counters.add('active', -1)
      this.#counters.add(connection.state, -1)
    })
    if (this.#draining) socket.destroy()
  }

  /** Each TLS connection that was accepted comes here or to `#connected`, and to one of them only. */
  #notAgreed(error: Error, socket: Socket): void {
    const code = codeOf(error) ?? ''
    const peer = socket.remoteAddress
    this.#counters.add('active', -1)
    this.#counters.add('reading', -1)
    this.#counters.add('handshakesFailed', 1)
    // Those who look whether the port is open, and go.
    const level = code === 'ECONNRESET' ? 'debug' : 'warn'
    this.#repeats.say(code, (keptBack) =>
      this.#logger[level]('a TLS handshake failed', { reason: describeError(error), peer, keptBack }),
    )
    socket.destroy()
  }

  /**
   * The client waits to be asked for its body: that is done when somebody wants it. If nobody does, node:http
   * closes after the answer, since what would come next could be the body or another request.
   */
  #takeExpecting(request: IncomingMessage, response: ServerResponse): void {
    request.once('resume', () => {
      if (!response.headersSent && !response.destroyed) response.writeContinue()
    })
    this.#take(request, response)
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request
    // An upload that breaks off is told by the reply's close; unheard, it would end the process.
    request.on('error', () => {})
    // What comes after the last request of a connection, which was told to be that, is nobody's (RFC 9112, 9.6).
    if (!socket.writable) return
    if (isFramedStrangely(request)) {
      this.#answerRaw(socket, '501 Not Implemented')
      return
    }
    const connection = this.#connections.get(socket) as Connection
    this.#counters.add('requests', 1)
    this.#enter(connection, 'writing')
    const reply = new HttpReply(request, response, this.#clock, () => this.#draining)
    connection.replies.add(reply)
    connection.movedAt = this.#clock.monotonic()
    response.once('close', () => {
      // A client that still sends is heard out: cut, it might never see the answer.
      if (!reply.isHeardOut && !socket.destroyed) {
        reply.lingersSince = this.#clock.monotonic()
        request.once('close', () => this.#finished(socket, connection, reply))
      } else this.#finished(socket, connection, reply)
    })
    this.#options.handler(incomingOf(request, this.#clock.now()), reply)
  }

  /**
   * Only WebSocket is let through: with another protocol, h2c for one, a client could make requests of its upstream
   * that nobody looks at. A request that may not switch is served as any other, which is how a server declines
   * (RFC 9110, 7.8); so is one that is not as a handshake should be, so that it meets the same strictness.
   */
  #mayUpgrade({ method, httpVersion, headers, socket }: IncomingMessage): boolean {
    const isPlain = ['content-length', 'transfer-encoding', 'expect'].every((name) => !(name in headers))
    const isWebSocket = headers.upgrade?.toLowerCase() === 'websocket'
    const isAlone = this.#connections.get(socket)?.replies.size === 0
    return method === 'GET' && httpVersion === '1.1' && 'host' in headers && isPlain && isWebSocket && isAlone
  }

  #takeUpgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const connection = this.#connections.get(socket)
    if (!connection) return
    this.#counters.add('requests', 1)
    this.#enter(connection, 'writing')
    if (head.length > 0) socket.unshift(head)
    const reply = new UpgradeReply(socket)
    connection.replies.add(reply)
    connection.movedAt = this.#clock.monotonic()
    this.#options.handler(incomingOf(request, this.#clock.now(), 'websocket'), reply)
  }

  #finished(socket: Socket, connection: Connection, reply: HttpReply): void {
    connection.replies.delete(reply)
    if (connection.replies.size > 0) return
    connection.movedAt = this.#clock.monotonic()
    if (socket.destroyed) return
    this.#enter(connection, 'waiting')
    if (this.#draining) socket.destroySoon()
  }

  #enter(connection: Connection, state: Connection['state']): void {
    this.#counters.add(connection.state, -1)
    this.#counters.add(state, 1)
    connection.state = state
  }

  /** What the parser refuses, or what took too long to come. */
  #refuse(error: Error, socket: Socket): void {
    const code = codeOf(error) ?? ''
    if (code === 'ECONNRESET') socket.destroy()
    else this.#answerRaw(socket, statusOfError[code] ?? '400 Bad Request')
  }

  /** Answers what never became a request, unless that would fall into the middle of another reply. */
  #answerRaw(socket: Socket, status: string): void {
    const busy = (this.#connections.get(socket)?.replies.size ?? 0) > 0
    if (busy || !socket.writable) {
      socket.destroy()
      return
    }
    this.#counters.answered(Number(status.slice(0, 3)))
    const body = `${JSON.stringify({ message: status.slice(4) })}\n`
    const fields = {
      Server: this.#options.product,
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Length': String(Buffer.byteLength(body)),
      Connection: 'close',
    }
    socket.write(headText(Number.parseInt(status, 10), status.slice(4), Object.entries(fields).flat()) + body)
    socket.destroySoon()
  }

  /** One timer looks after all connections: a timer for each would cost more than it is worth. */
  #schedule(): void {
    this.#sweep = this.#clock.after(sweepMs(this.#timeoutMs), () => {
      const now = this.#clock.monotonic()
      for (const [socket, connection] of this.#connections) this.#check(socket, connection, now)
      this.#schedule()
    })
  }

  /** Cuts a client that stands still in the middle of its upload, or of what it is sent. */
  #check(socket: Socket, connection: Connection, now: number): void {
    // Who goes on sending what was answered long ago is heard for half the timeout; nginx gives the same 30 s.
    const lingers = [...connection.replies].some(
      ({ lingersSince }) => now - lingersSince >= this.#timeoutMs / 2,
    )
    if (lingers) {
      socket.destroy()
      return
    }
    const bytes = socket.bytesRead + socket.bytesWritten
    const stuck = [...connection.replies].some((reply) => reply.isWaitingForClient)
    if (bytes !== connection.bytes || !stuck) {
      connection.bytes = bytes
      connection.movedAt = now
    } else if (now - connection.movedAt >= this.#timeoutMs) socket.destroy()
  }
}

class Connection {
  state: Extract<Counter, 'reading' | 'writing' | 'waiting'> = 'reading'
  readonly replies = new Set<HttpReply | UpgradeReply>()
  /** Read and written when last looked at, and when that last changed. */
  bytes = 0
  movedAt: number

  constructor(now: number) {
    this.movedAt = now
  }
}

/** A quarter of the timeout is how late it may be noticed. */
function sweepMs(timeoutMs: number): number {
  return Math.min(5000, Math.max(10, timeoutMs / 4))
}

const statusOfError: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

function incomingOf(
  request: IncomingMessage,
  receivedAt: number,
  upgrade: Incoming['upgrade'] = null,
): Incoming {
  const { socket, headers } = request
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
  return {
    method: request.method as string,
    target: request.url as string,
    httpVersion: request.httpVersion,
    rawHeaders: request.rawHeaders,
    body: hasBody ? request : null,
    trailers: () => request.rawTrailers,
    remoteAddress: socket.remoteAddress ?? '',
    localPort: socket.localPort ?? 0,
    encrypted: 'encrypted' in socket,
    upgrade,
    receivedAt,
  }
}

/** Codings other than chunks would be lost on the way, and the upstream would take the body for something else. */
function isFramedStrangely({ headers }: IncomingMessage): boolean {
  const coding = headers['transfer-encoding']
  return coding !== undefined && coding.trim().toLowerCase() !== 'chunked'
}
