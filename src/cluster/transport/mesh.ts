// Who is connected to this node, and which connection stays where there are two: everything of a transport but what
// carries it.
import type { Duplex } from 'node:stream'
import { type Address, formatAddress } from '../../base/address.ts'
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import { HelloRefused, PeerUnreachable, TransportStopped } from '../errors.ts'
import { ConnectedPeer } from './connected-peer.ts'
import { Conversation } from './conversation.ts'
import { Refusals } from './refusals.ts'
import {
  type Expected,
  type Hello,
  type Identity,
  judge,
  type Peer,
  type PeerEnd,
  type Refusal,
  type StrangerReason,
  sayHello,
  type Transport,
  type TransportCounts,
  type TransportHandlers,
} from './transport.ts'

/** Streams to and from other nodes, both ends of which have the cluster's key. */
export interface Wire {
  /**
   * Listens. Who comes in holds a place until `pass` is called, or it is shown out.
   * @returns the address as bound
   */
  listen(handlers: {
    readonly accept: (stream: Duplex, from: string) => void
    /** Somebody without the key, or who took too long. */
    readonly refused: (reason: StrangerReason, from: string) => void
  }): Promise<Address>
  /** Connects. One of the two is called, once, and never before this has returned. */
  connect(
    address: Address,
    outcome: {
      readonly opened: (stream: Duplex) => void
      /** @param error  {NothingListens} {PeerUnreachable} {PeerUntrusted} */
      readonly failed: (error: Error) => void
    },
  ): { abort(): void }
  /** Who came in from there has said who it is. @returns whether it had a place still */
  pass(from: string): boolean
  /** Places that are held. */
  readonly strangers: number
  /** Lets nobody in any more, and shows those out who hold a place; streams that are open stay so. */
  stop(): Promise<void>
}

export interface MeshOptions {
  readonly wire: Wire
  /** The cluster's id, from the genesis event of its log. */
  readonly cluster: string
  /** Methods whose messages, small ones, overtake all others that wait for a peer: probes. */
  readonly urgent: ReadonlySet<string>
  readonly clock: Clock
  readonly logger: Logger
}

export class Mesh implements Transport {
  readonly #options: MeshOptions
  readonly #refusals: Refusals
  readonly #conversations = new Set<Conversation>()
  readonly #peers = new Map<string, ConnectedPeer>()
  /** How to give up each dial under way. */
  readonly #dials = new Set<(error: Error) => void>()
  #dialCount = 0
  #handlers: TransportHandlers | undefined
  #self: Identity | undefined

  constructor(options: MeshOptions) {
    this.#options = options
    this.#refusals = new Refusals(options.clock, options.logger)
  }

  start(handlers: TransportHandlers): Promise<Address> {
    this.#handlers = handlers
    return this.#options.wire.listen({
      accept: (stream, from) => this.#accept(stream, from),
      refused: (reason, from) => this.#refusals.add(reason, { from }),
    })
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
      const settle = () => {
        timer.cancel()
        this.#dials.delete(fail)
      }
      const fail = (error: Error) => {
        settle()
        line.abort()
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
      const opened = (stream: Duplex) => {
        // By now it may have another name or life than when it began to dial.
        const self = this.#self
        if (!self) return fail(new TransportStopped())
        const conversation = this.#converse(stream, handlers, {
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
      }
      const line = this.#options.wire.connect(address, { opened, failed: fail })
    })
  }

  counts(): TransportCounts {
    return {
      peers: this.#peers.size,
      connections: this.#conversations.size,
      strangers: this.#options.wire.strangers,
      refused: this.#refusals.counts,
    }
  }

  async stop(): Promise<void> {
    const closed = this.#options.wire.stop()
    this.#self = undefined
    this.#handlers = undefined
    for (const fail of this.#dials) fail(new TransportStopped())
    this.#closeAll('stopping', 'the node stops')
    await Promise.all([...this.#conversations].map((conversation) => conversation.closed))
    await closed
  }

  /** A connection of someone who has the key. */
  #accept(stream: Duplex, from: string): void {
    const handlers = this.#handlers
    const { wire } = this.#options
    if (!handlers) return void stream.destroy()
    const conversation = this.#converse(stream, handlers, {
      welcome: (said) => {
        wire.pass(from)
        const self = this.#self as Identity
        conversation.hello(sayHello(self, this.#options.cluster, said.dial))
        return this.#adopt(said, conversation, said.dial, said.name < self.name)
      },
      refused: ({ reason, message }, said) => {
        wire.pass(from)
        this.#refusals.add(reason, { from, name: said.name, why: message })
      },
      ended: ({ message }) => {
        if (wire.pass(from)) this.#refusals.add('no-handshake', { from, why: message })
      },
    })
  }

  /** Speaks with the other end of a connection, whose hello is judged and then welcomed or refused. */
  #converse(
    stream: Duplex,
    handlers: TransportHandlers,
    side: {
      readonly expected?: Expected | undefined
      readonly welcome: (said: Hello) => ConnectedPeer
      readonly refused: (refusal: Refusal, said: Hello) => void
      /** It ended without a hello that was welcomed or refused. */
      readonly ended: (end: PeerEnd) => void
    },
  ): Conversation {
    let peer: ConnectedPeer | undefined
    let isRefused = false
    const conversation = new Conversation(stream, {
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
  #adopt(said: Hello, conversation: Conversation, dial: number, isSmallersDial: boolean): ConnectedPeer {
    const known = this.#peers.get(said.name)
    const route = { conversation, dial, isSmallersDial }
    if (known?.life === said.life) {
      known.add(route)
      return known
    }
    known?.close('superseded', `${said.name} is in its life ${said.life} now`)
    const peer: ConnectedPeer = new ConnectedPeer(said, () => {
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
