// The connections to one upstream: those that are in use, those that are kept for the next request, those that are
// opened ahead of it (spares), and the requests that wait for one.
//
// Of spares it always holds that
// - one is opened when a request takes a connection that is open already, and at no other time: an upstream that is asked
//   once in a while gets none, nor does one that keeps no connection, and no timer opens any;
// - with them, no more than `spares` are idle or on their way, and never more than may be open, or may be kept;
// - whoever wants a connection goes first: a request takes the one that is on its way rather than open another, and one
//   that can take none of them has one closed if there is no room else;
// - none is opened while the last connection that was tried did not come about, nor after a spare has ended that had
//   carried no request to its end, until another connection has: so an upstream in trouble, or one that closes what
//   nobody uses, sees hardly more than what requests open for themselves;
// - one that fails, or is closed early, is counted and forgotten. A request never fails of it: see exchange.ts;
// - one that nobody takes is closed after `idleMs`, open or not, and not replaced: a pool without requests becomes empty.
import type { LookupFunction } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { UpstreamUrl } from '../../entities/upstream-url.ts'
import type { Counters } from '../counters.ts'
import { type ConnectionOwner, type ConnectionParts, UpstreamConnection } from './upstream-connection.ts'

/** Who wants a connection. */
export interface Customer {
  /** Whether it may go on in another protocol, and so has to be able to pipe. */
  readonly isUpgrade: boolean
  /** It is theirs until they release it; perhaps not open yet. */
  use(connection: UpstreamConnection): void
  /** Told the time now and then, while they wait. */
  checkTime(now: number): void
}

export interface PoolParts {
  readonly upstream: UpstreamUrl
  readonly lookup: LookupFunction
  readonly trust: () => ConnectionOptions
  readonly counters: Counters
  /** Connections at once. */
  readonly socketsMax: number
  /** Of those, kept while idle. */
  readonly idleSocketsMax: number
  readonly idleMs: number
  /** Connections that are idle, or on their way ahead of a request, while the upstream is in use. */
  readonly spares: number
  /** Whether one that is open may be kept, of all pools together. */
  readonly mayKeep: () => boolean
  /** Whether one more may be opened ahead, of all pools together. */
  readonly mayOpenAhead: () => boolean
  readonly ahead: Ahead
  /** As of the last sweep: what is late by a little is not worth a look at the clock for each request. */
  readonly now: () => number
}

/** What all pools together open ahead. */
export interface Ahead {
  /** Spares that are not open yet. */
  connecting: number
}

export class Pool implements ConnectionOwner {
  session: Buffer | undefined
  readonly #parts: PoolParts
  readonly #all = new Set<UpstreamConnection>()
  /** The last one is used first: it is the least likely to have been closed, and the others can expire. */
  readonly #idle: UpstreamConnection[] = []
  /** Spares on their way; the first has been so for the longest. */
  readonly #ahead = new Set<UpstreamConnection>()
  readonly #waiting = new Set<Customer>()
  /** Whether the last connection that was tried came about. */
  #opens = true
  /** Whether, since a spare has ended that had carried no request to its end, another connection has. */
  #answers = true

  constructor(parts: PoolParts) {
    this.#parts = parts
  }

  get isEmpty(): boolean {
    return this.#all.size === 0 && this.#waiting.size === 0
  }

  /** Gives the customer a connection: now, or when there is one. */
  serve(customer: Customer): void {
    const needsStream = this.#needsStream(customer)
    const connection = needsStream ? undefined : this.#idle.pop()
    if (connection) {
      this.#parts.counters.add('upstreamReused', 1)
      customer.use(connection)
      if (this.#idle.length < this.#parts.spares) this.#openAhead()
      return
    }
    const spare = needsStream ? undefined : this.#takeAhead()
    if (spare) customer.use(spare)
    else if (this.#all.size < this.#parts.socketsMax) this.open(customer)
    else {
      this.#waiting.add(customer)
      if (needsStream) this.#makeRoom()
    }
  }

  /** Gives it a new connection, however many there are. */
  open(customer: Customer): void {
    customer.use(this.#connect({ asStream: this.#needsStream(customer), isSpare: false }))
  }

  /** It does not want a connection any more. */
  forget(customer: Customer): void {
    this.#waiting.delete(customer)
  }

  opened(connection: UpstreamConnection): void {
    this.#parts.counters.add('upstreamOpened', 1)
    this.#parts.counters.add('upstreamOpen', 1)
    this.#opens = true
    if (this.#leavesAhead(connection)) this.#offer(connection)
  }

  freed(connection: UpstreamConnection): void {
    this.#answers = true
    this.#offer(connection)
  }

  spent(connection: UpstreamConnection): void {
    this.#leavesAhead(connection)
    const i = this.#idle.lastIndexOf(connection)
    if (i >= 0) this.#idle.splice(i, 1)
  }

  closed(connection: UpstreamConnection, wasOpen: boolean): void {
    const { counters, socketsMax } = this.#parts
    if (wasOpen) counters.add('upstreamOpen', -1)
    else {
      counters.add('upstreamNotOpened', 1)
      this.#opens = false
    }
    if (connection.isSpare) this.#answers = false
    this.#all.delete(connection)
    const next = this.#all.size < socketsMax ? this.#nextWaiting() : undefined
    if (next) this.open(next)
  }

  /** Told the time now and then. */
  sweep(now: number): void {
    const { idleMs } = this.#parts
    for (const connection of this.#all) connection.checkTime(now)
    for (const customer of this.#waiting) customer.checkTime(now)
    const old = this.#unused.filter(
      (connection) => now - connection.idleSince >= Math.min(idleMs, connection.idleMs),
    )
    for (const connection of old) connection.destroy()
  }

  /** Those that are on their way to be idle, too. */
  closeIdle(): void {
    for (const connection of this.#unused) connection.destroy()
  }

  /** To whoever has waited the longest, or to those that may come. */
  #offer(connection: UpstreamConnection): void {
    const { idleSocketsMax, mayKeep, counters, now } = this.#parts
    const next = this.#waiting.size > 0 ? this.#nextWaiting() : undefined
    if (next && this.#needsStream(next)) {
      connection.destroy()
      this.open(next)
    } else if (next) {
      counters.add('upstreamReused', 1)
      next.use(connection)
    } else if (this.#idle.length < idleSocketsMax && connection.idleMs > 0 && mayKeep()) {
      connection.idleSince = now()
      this.#idle.push(connection)
    } else connection.destroy()
  }

  get #unused(): UpstreamConnection[] {
    return [...this.#idle, ...this.#ahead]
  }

  #connect(how: Pick<ConnectionParts, 'asStream' | 'isSpare'>): UpstreamConnection {
    const { upstream, lookup, trust } = this.#parts
    const connection = new UpstreamConnection({ owner: this, upstream, lookup, trust, ...how })
    this.#all.add(connection)
    return connection
  }

  #openAhead(): void {
    const { spares, idleSocketsMax, socketsMax, mayOpenAhead, ahead, now } = this.#parts
    const most = Math.min(spares, idleSocketsMax)
    while (
      this.#opens &&
      this.#answers &&
      this.#idle.length + this.#ahead.size < most &&
      this.#all.size < socketsMax &&
      mayOpenAhead()
    ) {
      const connection = this.#connect({ asStream: false, isSpare: true })
      connection.idleSince = now()
      this.#ahead.add(connection)
      ahead.connecting++
    }
  }

  /** The one that is the likeliest to be open soon. */
  #takeAhead(): UpstreamConnection | undefined {
    for (const connection of this.#ahead) {
      this.#leavesAhead(connection)
      return connection
    }
    return undefined
  }

  /** @returns  whether it was on its way ahead of a request, and is no more */
  #leavesAhead(connection: UpstreamConnection): boolean {
    const wasAhead = this.#ahead.delete(connection)
    if (wasAhead) this.#parts.ahead.connecting--
    return wasAhead
  }

  /** Closes one that nobody uses; in its place one is opened for whoever waits. */
  #makeRoom(): void {
    const [oldest] = this.#unused
    oldest?.destroy()
  }

  /** What can be piped on is read in another way from the beginning. */
  #needsStream({ isUpgrade }: Customer): boolean {
    return isUpgrade && !this.#parts.upstream.encrypted
  }

  /** Who has waited the longest. */
  #nextWaiting(): Customer | undefined {
    for (const customer of this.#waiting) {
      this.#waiting.delete(customer)
      return customer
    }
    return undefined
  }
}
