// LISTEN on a connection of its own, by pg-listen.
import { Socket } from 'node:net'
import { sql } from 'kysely'
import pgListen, { type Subscriber } from 'pg-listen'
import { type Clock, within } from '../base/clock.ts'
import type { Database } from '../database/database.ts'
import type { Subscription } from './listener.ts'

/** How often the connection is tried; a silent one is noticed after this and `queryTimeoutMs` at the latest. */
const checkIntervalMs = 2000

/** Below the interval: pg allows one query at a time on a connection, and checks are not to overlap. */
const queryTimeoutMs = 1500

/** How long the server gets to say goodbye; after it the socket is cut. */
const closeLimitMs = 500

/**
 * pg-listen's own reconnecting gives up after seconds, goes on after `close` and says nothing of what was missed; a
 * `retryLimit` of 1 turns it off, and any `error` ends the subscription.
 */
export class PostgresSubscription implements Subscription {
  readonly listening: Promise<void>
  readonly ended: Promise<never>
  readonly #database: Database
  readonly #clock: Clock
  readonly #socket = new Socket()
  readonly #subscriber: Subscriber
  #closed = false

  constructor(database: Database, clock: Clock, hear: (payload: unknown) => void) {
    this.#database = database
    this.#clock = clock
    this.#subscriber = pgListen.default(
      {
        ...database.clientConfig('troop listener'),
        query_timeout: queryTimeoutMs,
        stream: () => this.#socket,
      },
      { retryLimit: 1, paranoidChecking: checkIntervalMs, parse: (payload) => payload },
    )
    const { promise, reject } = Promise.withResolvers<never>()
    this.ended = promise
    this.#subscriber.events.on('error', reject)
    this.listening = this.#listen(hear)
    // Whoever listens awaits them; one that is closed at once is awaited by nobody.
    this.ended.catch(() => undefined)
    this.listening.catch(() => undefined)
  }

  async close(): Promise<void> {
    this.#closed = true
    const noGoodbye = () => new Error('no goodbye')
    await within(this.#clock, closeLimitMs, this.#subscriber.close(), noGoodbye).catch(() => undefined)
    this.#socket.destroy()
  }

  async #listen(hear: (payload: unknown) => void): Promise<void> {
    const channel = await this.#channel()
    if (this.#closed) throw new Error('closed before it was connected')
    this.#subscriber.notifications.on(channel, hear)
    await this.#subscriber.connect()
    await this.#subscriber.listenTo(channel)
  }

  /** Triggers notify on a channel named for their schema, so that several gateways can share a database. */
  async #channel(): Promise<string> {
    const query = sql<{ channel: string }>`select 'troop_' || current_schema() as channel`
    const { rows } = await query.execute(this.#database.primary)
    return (rows[0] as { channel: string }).channel
  }
}
