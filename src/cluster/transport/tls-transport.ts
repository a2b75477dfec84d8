// Nodes talk over TCP, encrypted and authenticated with the cluster's key.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { TLSSocket, Server as TlsServer } from 'node:tls'
import { type Address, formatAddress } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import { codeOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { HelloRefused, NothingListens, PeerUnreachable, PeerUntrusted, TransportStopped } from '../errors.ts'
import { Conversation } from './conversation.ts'
import { addressOf, Gate } from './gate.ts'
import type { ClusterKeys } from './keys.ts'
import { Refusals } from './refusals.ts'
import { connectPsk, createPskServer, isPsk, isTrustFailure } from './tls.ts'
import { TlsPeer } from './tls-peer.ts'
import {
  type Expected,
  type Hello,
  type Identity,
  judge,
  type Peer,
  type PeerEnd,
  type Refusal,
  sayHello,
  type Transport,
  type TransportCounts,
  type TransportHandlers,
} from './transport.ts'

export interface TlsTransportOptions {
  /** Port 0 lets the system choose. */
  readonly listen: Address
  /** The cluster's id, from the genesis event of its log. */
  readonly cluster: string
  readonly keys: ClusterKeys
  /** Methods whose messages, small ones, overtake all others that wait for a peer: probes. */
  readonly urgent: ReadonlySet<string>
  readonly clock: Clock
  readonly logger: Logger
}

/** A dead peer that nobody talks to is found by the system after this and some retries; probes find it earlier. */
const keepAliveMs = 15_000

export class TlsTransport implements Transport {
  readonly #options: TlsTransportOptions
  readonly #refusals: Refusals
  readonly #gate: Gate
  readonly #handshakes: TlsServer
  readonly #server: Server
  readonly #conversations = new Set<Conversation>()
  readonly #peers = new Map<string, TlsPeer>()
  /** How to give up each dial under way. */
  readonly #dials = new Set<(error: Error) => void>()
  #dialCount = 0
  #handlers: TransportHandlers | undefined
  #self: Identity | undefined

  constructor(options: TlsTransportOptions) {
    this.#options = options
    this.#refusals = new Refusals(options.clock, options.logger)
    this.#gate = new Gate(options.clock, (reason, from) => this.#refusals.add(reason, { from }))
    this.#handshakes = createPskServer(options.keys, {
      trusted: (socket) => this.#accept(socket),
      refused: (socket, reason) => {
        const from = addressOf(socket)
        // Who was shown out is counted already.
        if (this.#gate.pass(from)) this.#refusals.add(reason, { from })
      },
    })
    this.#server = createServer((socket) => this.#meet(socket))
  }

  async start(handlers: TransportHandlers): Promise<Address> {
    this.#handlers = handlers
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ ...this.#options.listen, exclusive: true }, () => {
        this.#server.off('error', reject)
        // One connection that can't be taken, for want of file descriptors, is no reason to end.
        this.#server.on('error', (error) => this.#options.logger.warn('connection not accepted', { error }))
        resolve()
      })
    })
    const { address: host, port } = this.#server.address() as AddressInfo
    return { host, port }
  }

  introduce(self: Identity): void {
    const isAnother = this.#self && (this.#self.name !== self.name || this.#self.life !== self.life)
    this.#self = self
    if (isAnother) this.#closeAll('superseded', `the node is now ${self.name} in its life ${self.life}`)
  }

  dial(address: Address, timeoutMs: number, expected?: Expected): Promise<Peer> {
    const handlers = this.#handlers
    if (!this.#self || !handlers) return Promise.reject(new TransportStopped())
    const where = formatAddress(address)
    const dial = ++this.#dialCount

    return new Promise((resolve, reject) => {
      const socket = connectPsk(address, this.#options.keys[0])
      const settle = () => {
        timer.cancel()
        this.#dials.delete(fail)
      }
      const fail = (error: Error) => {
        settle()
        socket.destroy()
        reject(error)
      }
      const refuse = (by: 'us' | 'them', refusal: { reason: string; message: string }) => {
        settle()
        reject(new HelloRefused(where, by, refusal))
      }
      const timer = this.#options.clock.after(timeoutMs, () => {
        fail(new PeerUnreachable(where, new Error(`no answer within ${timeoutMs} ms`)))
      })
      this.#dials.add(fail)
      socket.once('error', (error) => fail(dialError(where, error)))
      socket.once('secureConnect', () => {
        // By now it may have another name or life than when it began to dial.
        const self = this.#self
        if (!self) return fail(new TransportStopped())
        if (!isPsk(socket)) return fail(new PeerUntrusted(where))
        const conversation = this.#converse(socket, handlers, {
          expected,
          welcome: (said) => {
            const peer = this.#adopt(said, conversation, dial, self.name < said.name)
            settle()
            resolve(peer)
            return peer
          },
          refused: (refusal) => refuse('us', refusal),
          ended: ({ by, reason, message }) => {
            if (by === 'them') refuse('them', { reason, message })
            else fail(new PeerUnreachable(where, new Error(message)))
          },
        })
        conversation.hello(sayHello(self, this.#options.cluster, dial))
      })
    })
  }

  counts(): TransportCounts {
    return {
      peers: this.#peers.size,
      connections: this.#conversations.size,
      strangers: this.#gate.size,
      refused: this.#refusals.counts,
    }
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#self = undefined
    this.#handlers = undefined
    for (const fail of this.#dials) fail(new TransportStopped())
    this.#gate.close()
    this.#closeAll('stopping', 'the node stops')
    await Promise.all([...this.#conversations].map((conversation) => conversation.closed))
    await closed
  }

  /** A connection, of anyone. */
  #meet(socket: Socket): void {
    // What breaks before the handshake is done is nobody's loss; the handshake hears of it too.
    socket.on('error', () => {})
    // It has gone again already, and where it came from can't be told any more.
    if (socket.remoteAddress === undefined) return void socket.destroy()
    socket.setNoDelay(true).setKeepAlive(true, keepAliveMs)
    this.#gate.enter(socket)
    this.#handshakes.emit('connection', socket)
  }

  /** A connection of someone who has the key. */
  #accept(socket: TLSSocket): void {
    const handlers = this.#handlers
    const from = addressOf(socket)
    if (!handlers) return void socket.destroy()
    const conversation = this.#converse(socket, handlers, {
      welcome: (said) => {
        this.#gate.pass(from)
        const self = this.#self as Identity
        conversation.hello(sayHello(self, this.#options.cluster, said.dial))
        return this.#adopt(said, conversation, said.dial, said.name < self.name)
      },
      refused: ({ reason, message }, said) => {
        this.#gate.pass(from)
        this.#refusals.add(reason, { from, name: said.name, why: message })
      },
      ended: ({ message }) => {
        if (this.#gate.pass(from)) this.#refusals.add('no-handshake', { from, why: message })
      },
    })
  }

  /** Speaks with the other end of a connection, whose hello is judged and then welcomed or refused. */
  #converse(
    socket: TLSSocket,
    handlers: TransportHandlers,
    side: {
      readonly expected?: Expected | undefined
      readonly welcome: (said: Hello) => TlsPeer
      readonly refused: (refusal: Refusal, said: Hello) => void
      /** It ended without a hello that was welcomed or refused. */
      readonly ended: (end: PeerEnd) => void
    },
  ): Conversation {
    let peer: TlsPeer | undefined
    let isRefused = false
    const conversation = new Conversation(socket, {
      clock: this.#options.clock,
      urgent: this.#options.urgent,
      handlers,
      introduced: (said) => {
        const refusal = judge(said, {
          self: this.#self,
          cluster: this.#options.cluster,
          expected: side.expected,
          connectedLife: this.#peers.get(said.name)?.life,
          isFenced: (remote) => handlers.isFenced(remote),
        })
        if (!refusal) {
          peer = side.welcome(said)
          return peer
        }
        isRefused = true
        side.refused(refusal, said)
        conversation.part(refusal.reason, refusal.message)
        return undefined
      },
      ended: (end) => {
        if (peer) peer.remove(conversation, end)
        else if (!isRefused) side.ended(end)
      },
    })
    this.#conversations.add(conversation)
    void conversation.closed.then(() => this.#conversations.delete(conversation))
    return conversation
  }

  /** The peer that `said` who it is, with one more connection. */
  #adopt(said: Hello, conversation: Conversation, dial: number, isSmallersDial: boolean): TlsPeer {
    const known = this.#peers.get(said.name)
    const route = { conversation, dial, isSmallersDial }
    if (known?.life === said.life) {
      known.add(route)
      return known
    }
    known?.close('superseded', `${said.name} is in its life ${said.life} now`)
    const peer: TlsPeer = new TlsPeer(said, () => {
      if (this.#peers.get(said.name) === peer) this.#peers.delete(said.name)
    })
    this.#peers.set(said.name, peer)
    peer.add(route)
    this.#handlers?.connected(peer)
    return peer
  }

  #closeAll(reason: 'superseded' | 'stopping', message: string): void {
    for (const peer of this.#peers.values()) peer.close(reason, message)
    for (const conversation of this.#conversations) conversation.part(reason, message)
  }
}

function dialError(where: string, error: Error): Error {
  if (codeOf(error) === 'ECONNREFUSED') return new NothingListens(where)
  return isTrustFailure(error) ? new PeerUntrusted(where, error) : new PeerUnreachable(where, error)
}
