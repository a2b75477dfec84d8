// The connections to one upstream: those that are in use, those that are kept for the next request, and the requests
// that wait for one.
import type { LookupFunction } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { UpstreamUrl } from '../../entities/upstream-url.ts'
import type { Counters } from '../counters.ts'
import { type ConnectionOwner, UpstreamConnection } from './upstream-connection.ts'

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
  /** Whether one more may be kept, of all pools together. */
  readonly mayKeep: () => boolean
  /** As of the last sweep: what is late by a little is not worth a look at the clock for each request. */
  readonly now: () => number
}

export class Pool implements ConnectionOwner {
  session: Buffer | undefined
  readonly #parts: PoolParts
  readonly #all = new Set<UpstreamConnection>()
  /** The last one is used first: it is the least likely to have been closed, and the others can expire. */
  readonly #idle: UpstreamConnection[] = []
  readonly #waiting = new Set<Customer>()

  constructor(parts: PoolParts) {
    this.#parts = parts
  }

  get isEmpty(): boolean {
    return this.#all.size === 0 && this.#waiting.size === 0
  }

  /** Gives the customer a connection: now, or when there is one. */
  serve(customer: Customer): void {
    const connection = this.#needsStream(customer) ? undefined : this.#idle.pop()
    if (connection) {
      this.#parts.counters.add('upstreamReused', 1)
      customer.use(connection)
    } else if (this.#all.size < this.#parts.socketsMax) this.open(customer)
    else this.#waiting.add(customer)
  }

  /** Gives it a new connection, however many there are. */
  open(customer: Customer): void {
    const { upstream, lookup, trust } = this.#parts
    const asStream = this.#needsStream(customer)
    const connection = new UpstreamConnection({ owner: this, upstream, lookup, trust, asStream })
    this.#all.add(connection)
    customer.use(connection)
  }

  /** It does not want a connection any more. */
  forget(customer: Customer): void {
    this.#waiting.delete(customer)
  }

  opened(): void {
    this.#parts.counters.add('upstreamOpened', 1)
    this.#parts.counters.add('upstreamOpen', 1)
  }

  freed(connection: UpstreamConnection): void {
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

  spent(connection: UpstreamConnection): void {
    const i = this.#idle.lastIndexOf(connection)
    if (i >= 0) this.#idle.splice(i, 1)
  }

  closed(connection: UpstreamConnection, wasOpen: boolean): void {
    const { counters, socketsMax } = this.#parts
    if (wasOpen) counters.add('upstreamOpen', -1)
    else counters.add('upstreamNotOpened', 1)
    this.#all.delete(connection)
    const next = this.#all.size < socketsMax ? this.#nextWaiting() : undefined
    if (next) this.open(next)
  }

  /** Told the time now and then. */
  sweep(now: number): void {
    const { idleMs } = this.#parts
    for (const connection of this.#all) connection.checkTime(now)
    for (const customer of this.#waiting) customer.checkTime(now)
    const old = this.#idle.filter(
      (connection) => now - connection.idleSince >= Math.min(idleMs, connection.idleMs),
    )
    for (const connection of old) connection.destroy()
  }

  closeIdle(): void {
    for (const connection of [...this.#idle]) connection.destroy()
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
