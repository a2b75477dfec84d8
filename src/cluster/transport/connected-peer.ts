// Another node, as long as there is a connection to it. Two nodes that dial each other at once have two for a
// moment; nobody above sees that.
import type { Address } from '../../base/address.ts'
import type { Position } from '../../base/stamp.ts'
import { RpcClosed } from '../../rpc/errors.ts'
import type { Conversation } from './conversation.ts'
import type { EndReason, Identity, Peer, PeerEnd } from './transport.ts'

/** A connection to the peer, and what both sides know of how it came about. */
export interface Route {
  readonly conversation: Conversation
  /** Whether the one of the two whose name is smaller has dialled. */
  readonly isSmallersDial: boolean
  /** Which of its dialler's dials it is. */
  readonly dial: number
}

/**
 * The connection that should stay may be a dead one that only the other side knows to be dead; it has this long to
 * prove that it lives before those that should go are closed. A second is a slow link with a queue of full frames.
 */
const proofMs = 1000

export class ConnectedPeer implements Peer {
  readonly name: string
  readonly life: Position
  readonly address: Address
  readonly closed: Promise<PeerEnd>

  readonly #ended: () => void
  readonly #close: (end: PeerEnd) => void
  /** The one that should stay first; its place is taken by the next when it breaks. */
  #routes: Route[] = []
  #isSettling = false

  /** @param ended  called at once when it is closed, before anyone who awaits `closed` */
  constructor({ name, life, address }: Identity, ended: () => void) {
    this.name = name
    this.life = life
    this.address = address
    this.#ended = ended
    const { promise, resolve } = Promise.withResolvers<PeerEnd>()
    this.closed = promise
    this.#close = resolve
  }

  async call(method: string, params: unknown, timeoutMs: number): Promise<unknown> {
    const [route] = this.#routes
    if (!route) throw new RpcClosed()
    return route.conversation.call(method, params, timeoutMs)
  }

  notify(method: string, params: unknown): boolean {
    return this.#routes[0]?.conversation.notify(method, params) ?? false
  }

  close(reason: EndReason, message: string = reason): void {
    const routes = this.#routes
    this.#finish({ by: 'us', reason, message })
    for (const { conversation } of routes) conversation.part(reason, message)
  }

  add(route: Route): void {
    this.#routes = [...this.#routes, route].sort(byRank)
    if (this.#routes.length > 1) void this.#settle()
  }

  /** Takes note that one of its connections ended. */
  remove(ended: Conversation, end: PeerEnd): void {
    const left = this.#routes.filter(({ conversation }) => conversation !== ended)
    if (left.length === this.#routes.length) return
    // What the other side says of the node, rather than of one of two connections, goes for all of them.
    const isAboutNode = end.by === 'them' && end.reason !== 'duplicate'
    if (left.length > 0 && !isAboutNode) {
      this.#routes = left
      return
    }
    this.#finish(end)
    for (const { conversation } of left) conversation.part('duplicate', 'the other connection was closed')
  }

  /** Closes all connections but one that answers. Both sides do so and come to the same one. */
  async #settle(): Promise<void> {
    if (this.#isSettling) return
    this.#isSettling = true
    while (this.#routes.length > 1) {
      const [best] = this.#routes as [Route]
      const isAlive = await best.conversation.answers(proofMs)
      const at = this.#routes.indexOf(best)
      // It broke, or was the last, while it was asked.
      if (at < 0 || this.#routes.length < 2) continue
      const [stay, go] = isAlive
        ? [this.#routes.slice(0, at + 1), this.#routes.slice(at + 1)]
        : [this.#routes.toSpliced(at, 1), [best]]
      this.#routes = stay
      for (const { conversation } of go)
        conversation.part('duplicate', 'another connection of the two nodes stays')
    }
    this.#isSettling = false
  }

  #finish(end: PeerEnd): void {
    this.#routes = []
    this.#ended()
    this.#close(end)
  }
}

/** Of two, the one that the smaller name dialled; of two by the same node, the later. */
function byRank(a: Route, b: Route): number {
  return Number(b.isSmallersDial) - Number(a.isSmallersDial) || b.dial - a.dial
}
