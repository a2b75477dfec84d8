// Hears of new events by LISTEN, so that they are pulled at once. Only an accelerator: what it misses is found
// by the next read of the head.
import { Socket } from 'node:net'
import { sql } from 'kysely'
import pgListen from 'pg-listen'
import { type BackoffOptions, backoffMs } from '../base/backoff.ts'
import { type Clock, within } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Position } from '../base/stamp.ts'
import type { Database } from '../database/database.ts'

export interface ListenerParts {
  readonly database: Database
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /**
   * There may be events from `position` on. Without a position: the listener has just connected, and whatever was
   * notified before is lost.
   */
  readonly onNews: (position?: Position) => void
}

/** The heartbeat pulls meanwhile, so there is no hurry after the first attempts. */
const retry: BackoffOptions = { firstMs: 100, mostMs: 5000 }

/** How often the connection is tried; a silent one is noticed after this and `queryTimeoutMs` at the latest. */
const checkIntervalMs = 2000

/** Below the interval: pg allows one query at a time on a connection, and checks are not to overlap. */
const queryTimeoutMs = 1500

/** How long the server gets to say goodbye; after it the socket is cut. */
const closeLimitMs = 500

export class Listener {
  readonly #parts: ListenerParts
  readonly #stopping = new AbortController()
  readonly #firstAttempt = Promise.withResolvers<void>()
  #running: Promise<void> | undefined
  #listening = false

  constructor(parts: ListenerParts) {
    this.#parts = parts
  }

  /** Resolves when it listens, or when the first attempt failed; it goes on trying either way. */
  start(): Promise<void> {
    this.#running ??= this.#run()
    return this.#firstAttempt.promise
  }

  /** Whether it is connected, as far as it knows. */
  listening(): boolean {
    return this.#listening
  }

  /** Closes the connection; once it resolves, no backend of this listener is left that the server could know of. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock, random, logger } = this.#parts
    const { signal } = this.#stopping
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await this.#epoch(() => {
          attempt = 0
        })
      } catch (error) {
        if (attempt === 0) logger.warn('not listening to the datastore', { error })
        else logger.debug('still not listening to the datastore', { error })
      }
      this.#firstAttempt.resolve()
      await clock.sleep(backoffMs(attempt, retry, random), signal)
    }
    this.#firstAttempt.resolve()
  }

  /**
   * One connection, from its making to its end. pg-listen's own reconnecting gives up after seconds, goes on after
   * `close` and says nothing of what was missed; a `retryLimit` of 1 turns it off, and any `error` ends the epoch.
   *
   * @throws whatever ended it, unless it was `stop`
   */
  async #epoch(onListening: () => void): Promise<void> {
    const channel = await this.#channel()
    const socket = new Socket()
    const subscriber = pgListen.default(
      {
        ...this.#parts.database.clientConfig('troop listener'),
        query_timeout: queryTimeoutMs,
        stream: () => socket,
      },
      { retryLimit: 1, paranoidChecking: checkIntervalMs, parse: (payload) => payload },
    )
    const ended = Promise.withResolvers<never>()
    const stopped = Promise.withResolvers<void>()
    subscriber.events.on('error', ended.reject)
    subscriber.notifications.on(channel, (payload) => this.#hear(payload))
    this.#stopping.signal.addEventListener('abort', () => stopped.resolve(), { once: true })
    if (this.#stopping.signal.aborted) stopped.resolve()
    try {
      const listening = subscriber.connect().then(() => subscriber.listenTo(channel))
      await Promise.race([listening, ended.promise, stopped.promise])
      if (this.#stopping.signal.aborted) return
      this.#listening = true
      onListening()
      this.#firstAttempt.resolve()
      this.#parts.onNews()
      await Promise.race([ended.promise, stopped.promise])
    } finally {
      this.#listening = false
      await this.#close(subscriber.close(), socket)
    }
  }

  /** Triggers notify on a channel named for their schema, so that several gateways can share a database. */
  async #channel(): Promise<string> {
    const query = sql<{ channel: string }>`select 'troop_' || current_schema() as channel`
    const { rows } = await query.execute(this.#parts.database.primary)
    return (rows[0] as { channel: string }).channel
  }

  /** Anyone may notify: what is not a position is not from our triggers. */
  #hear(payload: unknown): void {
    const position = Number(payload)
    if (Number.isSafeInteger(position) && position > 0) this.#parts.onNews(position)
  }

  async #close(closed: Promise<void>, socket: Socket): Promise<void> {
    const { clock } = this.#parts
    await within(clock, closeLimitMs, closed, () => new Error('no goodbye')).catch(() => undefined)
    socket.destroy()
  }
}
