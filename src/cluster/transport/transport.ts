// How nodes talk: what a connection between two of them can do, and by which rules they let each other in.
import { z } from 'zod'
import { type Address, formatAddress, parseAddress } from '../../base/address.ts'
import type { Position } from '../../base/stamp.ts'

/** Who a node is to the others. */
export interface Identity {
  /** Its registered name. */
  readonly name: string
  /** The position of its registration event. A higher one under the same name is a later start of it. */
  readonly life: Position
  /** Where others reach it. */
  readonly address: Address
}

/** Another node, connected: one object as long as it stays so under the same life, whoever dialled. */
export interface Peer extends Identity {
  /**
   * Asks it. Requests and notices to one peer arrive in the order in which they were sent, except that those of the
   * transport's urgent methods overtake all others.
   * @param params  a JSON value, at most `frameBytesMax` long
   * @returns       its answer, to be checked by the caller
   * @throws RemoteError with the code that it answered, `rpc-timeout`, `rpc-busy` when too much waits for it
   *         already, or `rpc-closed` when the connection is or gets closed: it may or may not have been carried out
   */
  call(method: string, params: unknown, timeoutMs: number): Promise<unknown>
  /**
   * Tells it, without an answer and without knowing whether it arrives.
   * @returns  false when nothing was sent, because too much waits for it already or it is gone. A peer that does not
   *           drain misses what it is told, and slows down no other.
   */
  notify(method: string, params: unknown): boolean
  /** Resolves once nothing can be sent any more, with the reason. */
  readonly closed: Promise<PeerEnd>
  /** Ends it. The other side learns the reason. */
  close(reason: EndReason, message?: string): void
}

export interface Transport {
  /**
   * Listens. Until `introduce` was called nobody is let in.
   * @returns the address as bound
   * @throws what the system says when it can't be bound, e.g. code `EADDRINUSE`
   */
  start(handlers: TransportHandlers): Promise<Address>
  /** Says who this node is from now on. Connections that were made under another name or life are closed. */
  introduce(self: Identity): void
  /**
   * Connects to the node at `address`, or adds nothing if it is connected already.
   * @param expected  who should be there: another name, or an older life, is refused
   * @throws {NothingListens} {PeerUnreachable} {PeerUntrusted} {HelloRefused} {TransportStopped}
   */
  dial(address: Address, timeoutMs: number, expected?: Expected): Promise<Peer>
  counts(): TransportCounts
  /** Closes all connections, with a reason, and stops listening. */
  stop(): Promise<void>
}

export interface Expected {
  readonly name: string
  readonly life?: Position
}

/** What is done with what others say. */
export interface TransportHandlers {
  /** Whether `remote` is kept out though its hello is in order: its life was ended by force. */
  isFenced(remote: Identity): boolean
  /** A new peer, whichever side dialled. Comes before anything that it says. */
  connected(peer: Peer): void
  /** A request; what it returns or throws is the answer. `params` must be checked. */
  handle(peer: Peer, method: string, params: unknown): unknown
  /** A notice, taken at once. `params` must be checked; what it throws closes the connection. */
  receive(peer: Peer, method: string, params: unknown): void
}

export interface TransportCounts {
  readonly peers: number
  /** Open ones with nodes that have the key; two to one peer, for a moment, when both sides dial. */
  readonly connections: number
  /** Connections that have not shown who they are yet. */
  readonly strangers: number
  /** How many were refused, by reason. */
  readonly refused: Readonly<Record<StrangerReason | RefusalReason, number>>
}

/** Why a connection without the cluster's key is cut off: it gets nothing, not even the reason. */
export const strangerReasons = ['wrong-key', 'no-handshake', 'too-slow', 'too-many'] as const
export type StrangerReason = (typeof strangerReasons)[number]

/** Why a node with the key is sent away; both sides learn it. Wire format: this list only ever grows. */
export const refusalReasons = [
  'foreign-datastore',
  'no-common-protocol',
  'self',
  'name-conflict',
  'unexpected-node',
  'fenced-life',
  'not-ready',
] as const
export type RefusalReason = (typeof refusalReasons)[number]

/** Why a connection ended. Newer nodes may say what is not on this list, so a peer's reason is any text. */
export type EndReason =
  | RefusalReason
  /** There are two connections between the pair, and the other one stays. */
  | 'duplicate'
  /** The node has started anew. */
  | 'superseded'
  /** The node stops. */
  | 'stopping'
  /** It does not answer, or what carried it broke. */
  | 'lost'
  /** It said what is not in the protocol. */
  | 'protocol'

export interface PeerEnd {
  /** `wire`: nobody said so. */
  readonly by: 'us' | 'them' | 'wire'
  /** An `EndReason`, or what a newer node calls it. */
  readonly reason: string
  readonly message: string
}

/**
 * Longest message either way. A connection carries one at a time, so this is also what a probe may have to wait
 * for: 8 ms at 1 Gbit/s, 80 ms at 100 Mbit/s. Higher lets larger transactions be pushed and fetched from peers.
 */
export const frameBytesMax = 1 << 20

/** What this version speaks. Raised when a message changes its meaning; what is only added needs no new one. */
export const protocolVersions = { min: 1, max: 1 }

/** The first message on a connection, from either side. Wire format: members are only ever added. */
export const hello = z.object({
  protocol: z.object({ min: z.int().positive(), max: z.int().positive() }),
  /** The cluster's id, from the genesis event of its log: whose datastore this is. */
  cluster: z.string().min(1).max(128),
  name: z.string().min(1).max(255),
  life: z.int().nonnegative(),
  address: z.string().max(64).transform(toAddress),
  /** Counts the dials of the side that dialled: of two connections that one side dialled, the later one stays. */
  dial: z.int().nonnegative(),
})
export type Hello = z.output<typeof hello>

/** A sentence for the log. */
export const farewellTextMax = 1000

/** The last message on a connection that is closed on purpose. */
export const farewell = z.object({ reason: z.string().max(64), message: z.string().max(farewellTextMax) })

/** `hello` as it goes over the wire. */
export function sayHello(self: Identity, cluster: string, dial: number): z.input<typeof hello> {
  const { name, life, address } = self
  return { protocol: protocolVersions, cluster, name, life, address: formatAddress(address), dial }
}

export interface Refusal {
  readonly reason: RefusalReason
  readonly message: string
}

/** What a hello is held against. */
export interface Judgement {
  /** Undefined until this node has introduced itself. */
  readonly self: Identity | undefined
  readonly cluster: string
  readonly expected?: Expected | undefined
  /** The life under which this name is connected already. */
  readonly connectedLife?: Position | undefined
  isFenced(remote: Identity): boolean
}

/** Decides whether whoever said `said` is let in. The most telling reason comes first. */
export function judge(said: Hello, judgement: Judgement): Refusal | undefined {
  const { self, cluster, expected, connectedLife } = judgement
  const refusal = (reason: RefusalReason, message: string): Refusal => ({ reason, message })

  if (said.protocol.min > protocolVersions.max || said.protocol.max < protocolVersions.min) {
    return refusal(
      'no-common-protocol',
      `protocol versions ${span(protocolVersions)} are spoken here, not ${span(said.protocol)}`,
    )
  }
  if (said.cluster !== cluster) {
    return refusal('foreign-datastore', `this is a node of the datastore ${cluster}, not of ${said.cluster}`)
  }
  if (!self) return refusal('not-ready', 'this node is not registered yet')
  if (said.name === self.name) {
    return said.life === self.life
      ? refusal('self', 'this is the node itself')
      : refusal('name-conflict', `another node is running under the name ${self.name}`)
  }
  if (expected && expected.name !== said.name) {
    return refusal('unexpected-node', `${expected.name} was expected here, not ${said.name}`)
  }
  const lifeMin = Math.max(expected?.life ?? 0, connectedLife ?? 0)
  if (said.life < lifeMin || judgement.isFenced(said)) {
    return refusal('fenced-life', `the life ${said.life} of ${said.name} is over`)
  }
  return undefined
}

function span({ min, max }: { min: number; max: number }): string {
  return min === max ? String(min) : `${min} to ${max}`
}

function toAddress(text: string, context: z.RefinementCtx): Address {
  const address = parseAddress(text)
  if (address) return address
  context.addIssue({ code: 'custom', message: `expected host:port, got "${text}"` })
  return z.NEVER
}
