// Clients, plain or TLS. Those over HTTP/1.1 have two lanes. The ordinary one is node:http: its strict parser faces whatever
// may come. The fast one (fast-lane.ts) takes what is plain, and nothing else. Those over HTTP/2 have one of their own
// (http2-lane.ts).
import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { type Address, formatAddress } from '../../base/address.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import { codeOf, describeError } from '../../base/errors.ts'
import { http } from '../../base/http.ts'
import type { Logger } from '../../base/logger.ts'
import { WriteBatch } from '../../base/write-batch.ts'
import type { KeyPair } from '../../plugins/plugin.ts'
import { wordsOf } from '../answer-words.ts'
import { Counters } from '../counters.ts'
import { ListenFailed, type RefusalReason, refusalPage } from '../errors.ts'
import { Headers } from '../headers.ts'
import { Repeats } from '../repeats.ts'
import type { Answer, Incoming } from '../request.ts'
import { type ClientReply, Connection } from './connection.ts'
import { FastHeadReader } from './fast-head.ts'
import { FastLane, type FastLaneParts } from './fast-lane.ts'
import { FastReplies } from './fast-reply.ts'
import { headText } from './head.ts'
import { HttpReply, type HttpReplyHost, hasBody } from './http-reply.ts'
import { Http2Lane } from './http2-lane.ts'
import type { Handler, Inbound } from './inbound.ts'
import { type ClientLimits, defaultLimits } from './limits.ts'
import { SharedSocket } from './shared-socket.ts'
import { faultOf, refusalOf, strictOptions } from './strictness.ts'
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
  /** What is not given is as in `defaultLimits`. */
  readonly limits?: Partial<ClientLimits>
  /** What `stop` gives to open requests. Default 1,000. */
  readonly graceMs?: number
  /** Connections are TLS. */
  readonly tls?: TlsOptions
  /** Whether plain requests are read without node:http, at a fraction of what they cost otherwise. Default true. */
  readonly fastLane?: boolean
}

/** Requests that a client may have sent beyond the one in hand. A reader of 64 KiB at once can find that many. */
const queuedMax = 2000

/** Read at once, at the most; node:net reads as much. */
const readBytes = 64 * 1024

const roomRemedy = 'raise proxy.connections_max, and `ulimit -n` if it is low, or add workers or nodes'

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
  readonly #limits: ClientLimits
  readonly #replyHost: HttpReplyHost
  /** Undefined: all is for the ordinary lane. */
  readonly #fastLane: FastLaneParts | undefined
  readonly #http2Lane: Http2Lane
  /** Has node:http read a connection. */
  readonly #readOrdinarily: (socket: Socket) => void
  #draining = false
  #sweep: Timer | undefined

  constructor(options: HttpInboundOptions) {
    const { tls } = options
    this.#options = options
    this.#clock = options.clock
    this.#logger = options.logger.scope('proxy')
    this.#counters = new Counters(options.counters)
    this.#repeats = new Repeats(options.clock)
    this.#limits = { ...defaultLimits, ...options.limits }
    this.#replyHost = { clock: this.#clock, writes: new WriteBatch(), isLast: () => this.#draining }
    const serverOptions = {
      ...strictOptions(this.#limits),
      keepAliveTimeout: this.#limits.idleMs,
      noDelay: true,
      shouldUpgradeCallback: (request: IncomingMessage) => this.#mayUpgrade(request),
    }
    this.#tlsServer = tls && createTlsServer(serverOptions, tls)
    this.#server = this.#tlsServer ?? http.createServer(serverOptions)
    // All fields are kept: by default what comes after the 2,000th would silently be dropped.
    this.#server.maxHeadersCount = 0
    // Of the other listener of this thread there are some, too.
    Object.defineProperty(this.#server, 'maxConnections', {
      get: () => this.#limits.connectionsMax - (this.#counters.get('active') - this.#sockets.size),
    })
    // Not all connections are for node:http, so it is told of them by us.
    const connected = tls ? 'secureConnection' : 'connection'
    const [listener] = this.#server.listeners(connected)
    this.#readOrdinarily = (socket) => listener?.call(this.#server, socket)
    this.#server.removeListener(connected, listener as () => void)
    this.#fastLane = options.fastLane === false ? undefined : this.#makeFastLane()
    this.#http2Lane = this.#makeHttp2Lane()
    if (tls) this.#server.on('connection', (socket: Socket) => this.#accepted(socket))
    if (tls) this.#server.on('secureConnection', (socket: TLSSocket) => this.#agreed(socket))
    else this.#server.on('connection', (socket: Socket) => this.#acceptedPlain(socket))
    this.#server.on('tlsClientError', (error: Error, socket: Socket) => this.#notAgreed(error, socket))
    this.#server.on('request', (request, response) => this.#take(request, response))
    this.#server.on('checkContinue', (request, response) => this.#takeExpecting(request, response))
    this.#server.on('upgrade', (request, socket, head) => this.#takeUpgrade(request, socket as Socket, head))
    this.#server.on('checkExpectation', (request, response) => this.#take(request, response))
    this.#server.on('connect', (request, socket) => this.#takeConnect(request, socket as Socket))
    this.#server.on('clientError', (error, socket) => this.#failed(error, socket as Socket))
    this.#server.on('drop', (dropped) => this.#turnAway(dropped?.remoteAddress))
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
    for (const [socket, { reply }] of this.#connections) if (!reply) socket.destroy()
    this.#http2Lane.drain()
    await closed
    // The server forgets a connection a moment before its end is told.
    await Promise.all([...this.#connections.keys()].map((socket) => once(socket, 'close')))
    await this.#http2Lane.closed()
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

  #acceptedPlain(socket: Socket): void {
    const own = this.#fastLane ? SharedSocket.over(socket, this.#fastLane.memory) : socket
    this.#accepted(own)
    this.#connected(own)
  }

  /** There is no room for it. */
  #turnAway(peer: string | undefined): void {
    const reason = 'connections' satisfies RefusalReason
    this.#counters.refused(reason)
    const fields = { reason, peer, open: this.#counters.get('active'), remedy: roomRemedy }
    this.#repeats.say(`refused ${reason}`, (keptBack) =>
      this.#logger.warn('a client was refused', { ...fields, keptBack }),
    )
  }

  #agreed(socket: TLSSocket): void {
    if (socket.alpnProtocol === 'h2') this.#http2Lane.take(socket)
    else this.#connected(socket)
  }

  #connected(socket: Socket): void {
    const connection = new Connection(socket, this.#clock.monotonic())
    this.#connections.set(socket, connection)
    socket.once('close', () => {
      this.#connections.delete(socket)
      this.#counters.add('active', -1)
      this.#counters.add(connection.state, -1)
    })
    if (this.#draining) socket.destroy()
    else if (this.#fastLane) this.#readFast(connection, this.#fastLane)
    else this.#readOrdinarily(socket)
  }

  #readFast(connection: Connection, parts: FastLaneParts): void {
    connection.isFast = true
    new FastLane(parts, connection)
  }

  #makeFastLane(): FastLaneParts {
    const clock = this.#clock
    return {
      clock,
      memory: Buffer.allocUnsafeSlow(readBytes),
      reader: new FastHeadReader(this.#limits),
      replies: new FastReplies({
        ...{ clock, writes: this.#replyHost.writes, idleMs: this.#limits.idleMs },
        isDraining: () => this.#draining,
      }),
      serve: (connection, reply, incoming) => {
        this.#counters.add('fast', 1)
        this.#serve(connection, reply, incoming)
      },
      finished: (connection) => this.#finished(connection),
      brokenOff: (connection) => this.#refuse(connection, 'syntax', new Error('it ended within a body')),
      toOrdinaryLane: (connection) => {
        connection.leaveFastLane()
        this.#readOrdinarily(connection.socket)
      },
    }
  }

  #makeHttp2Lane(): Http2Lane {
    return new Http2Lane({
      clock: this.#clock,
      limits: this.#limits,
      counters: this.#counters,
      handler: this.#options.handler,
      product: this.#options.product,
      refused: (reason, peer, error) => this.#sayRefused(reason, peer, error),
    })
  }

  /** Each TLS connection that was accepted comes here or to `#agreed`, and to one of them only. */
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
    const connection = this.#connections.get(socket)
    // What comes after the last request of a connection, which was told to be that, is nobody's (RFC 9112, 9.6).
    if (!connection || !socket.writable) return
    if (connection.refusal) {
      if (connection.ignored++ > queuedMax) socket.destroy()
      return
    }
    const fault = faultOf(request, this.#limits)
    if (fault) this.#refuse(connection, fault)
    else if (!connection.reply) this.#begin(connection, request, response)
    else if (connection.queue.push({ request, response }) > queuedMax) this.#refuse(connection, 'pipelined')
  }

  #begin(connection: Connection, request: IncomingMessage, response: ServerResponse): void {
    const reply = new HttpReply(request, response, this.#replyHost)
    response.once('close', () => {
      // A client that still sends is heard out: cut, it might never see the answer.
      if (!reply.isHeardOut && !connection.socket.destroyed) {
        reply.lingersSince = this.#clock.monotonic()
        request.once('close', () => this.#finished(connection))
      } else this.#finished(connection)
    })
    this.#serve(connection, reply, incomingOf(request, this.#clock.now()))
  }

  #serve(connection: Connection, reply: ClientReply, incoming: Incoming): void {
    this.#counters.add('requests', 1)
    this.#enter(connection, 'writing')
    connection.begin(reply)
    this.#options.handler(incoming, reply)
  }

  /**
   * Only WebSocket is let through: with another protocol, h2c for one, a client could make requests of its upstream
   * that nobody looks at. A request that may not switch is served as any other, which is how a server declines
   * (RFC 9110, 7.8); so is one that is not as a handshake should be, so that it meets the same strictness.
   */
  #mayUpgrade({ method, httpVersion, headers, socket }: IncomingMessage): boolean {
    const isPlain = ['content-length', 'transfer-encoding', 'expect'].every((name) => !(name in headers))
    const isWebSocket = headers.upgrade?.toLowerCase() === 'websocket'
    const connection = this.#connections.get(socket)
    const isAlone = connection && !connection.reply && !connection.refusal
    return method === 'GET' && httpVersion === '1.1' && isPlain && isWebSocket && isAlone === true
  }

  #takeUpgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const connection = this.#connections.get(socket)
    if (!connection) return
    // node:http lets go of a connection that may switch, and hears no more of its errors.
    socket.on('error', () => {})
    const fault = faultOf(request, this.#limits)
    if (fault) {
      this.#refuse(connection, fault)
      return
    }
    if (head.length > 0) socket.unshift(head)
    const reply = new UpgradeReply(socket)
    this.#serve(connection, reply, incomingOf(request, this.#clock.now(), 'websocket'))
  }

  #takeConnect(request: IncomingMessage, socket: Socket): void {
    const connection = this.#connections.get(socket)
    socket.on('error', () => {})
    // Behind another request it can't wait: its connection is node:http's no more.
    if (!connection || connection.reply) socket.destroy()
    else this.#refuse(connection, faultOf(request, this.#limits) ?? 'method')
  }

  #finished(connection: Connection): void {
    const { socket, queue, refusal } = connection
    connection.reply = undefined
    if (socket.destroyed) return
    connection.rest()
    const next = queue.shift()
    // The rest of one that broke off will not come.
    const isWhole = !refusal || next?.request.complete
    if (next && isWhole && socket.writable) this.#begin(connection, next.request, next.response)
    else if (refusal) this.#endWith(connection, refusalPage(refusal))
    else {
      this.#enter(connection, 'waiting')
      if (this.#draining) socket.destroySoon()
    }
  }

  #enter(connection: Connection, state: Connection['state']): void {
    this.#counters.add(connection.state, -1)
    this.#counters.add(state, 1)
    connection.state = state
  }

  /** What the parser refuses. */
  #failed(error: Error, socket: Socket): void {
    const connection = this.#connections.get(socket)
    const reason = refusalOf(error)
    if (!connection || codeOf(error) === 'ECONNRESET') socket.destroy()
    else if (reason) this.#refuse(connection, reason, error)
  }

  /** Takes nothing more from a client. It gets the replies to what it had asked before, and then is told why. */
  #refuse(connection: Connection, reason: RefusalReason, error?: Error): void {
    if (connection.refusal) return
    connection.refusal = reason
    const { reply, socket } = connection
    this.#sayRefused(reason, socket.remoteAddress, error)
    const page = refusalPage(reason)
    if (!page) socket.destroy()
    else if (!reply) this.#endWith(connection, page)
    else if (!reply.isHeardOut) reply.spoil(page)
  }

  #sayRefused(reason: RefusalReason, peer: string | undefined, error?: Error): void {
    this.#counters.refused(reason)
    const fields = { reason, cause: error && describeError(error), peer }
    this.#repeats.say(`refused ${reason}`, (keptBack) =>
      this.#logger.warn('a client was refused', { ...fields, keptBack }),
    )
  }

  /** The last word to a client, where no request is there to be answered. */
  #endWith(connection: Connection, answer: Answer | undefined): void {
    if (!answer || !connection.socket.writable) {
      connection.socket.destroy()
      return
    }
    this.#counters.answered(answer.status)
    const { headers, body } = wordsOf(answer, this.#options.product)
    headers.append('Content-Length', String(body.length))
    headers.append('Connection', 'close')
    const text = headText(answer.status, undefined, headers) + body.toString('latin1')
    connection.end(text, this.#clock.monotonic())
  }

  /** One timer looks after all connections: a timer for each would cost more than it is worth. */
  #schedule(): void {
    this.#sweep = this.#clock.after(sweepMs(this.#limits), () => {
      const now = this.#clock.monotonic()
      for (const connection of this.#connections.values()) this.#check(connection, now)
      this.#http2Lane.check(now)
      this.#schedule()
    })
  }

  #check(connection: Connection, now: number): void {
    const overdue = connection.overdue(now, this.#limits)
    if (overdue === 'over') connection.socket.destroy()
    else if (overdue) this.#refuse(connection, overdue)
  }
}

/**
 * A quarter of the shortest time is how late it may be noticed that it is over: what begins is seen at one look, what is
 * over at another.
 */
function sweepMs({ headMs, idleMs, upload, download }: ClientLimits): number {
  const shortestMs = Math.min(headMs, idleMs, upload.graceMs, download.graceMs)
  return Math.min(5000, Math.max(10, shortestMs / 8))
}

function incomingOf(
  request: IncomingMessage,
  receivedAt: number,
  upgrade: Incoming['upgrade'] = null,
): Incoming {
  const { socket } = request
  return {
    method: request.method as string,
    target: request.url as string,
    httpVersion: request.httpVersion,
    // `faultOf` has seen them.
    headers: Headers.read(request.rawHeaders),
    body: hasBody(request) ? request : null,
    trailers: () => request.rawTrailers,
    remoteAddress: socket.remoteAddress ?? '',
    localPort: socket.localPort ?? 0,
    encrypted: 'encrypted' in socket,
    upgrade,
    receivedAt,
  }
}
