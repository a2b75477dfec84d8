// Hears of new events by subscription, so that they are pulled at once. Only an accelerator: what it misses is found
// by the next read of the head.
import { type BackoffOptions, backoffMs } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Position } from '../base/stamp.ts'

/** One connection by which the datastore tells of new events, for as long as it lasts. */
export interface Subscription {
  /** Resolves once everything that is told from now on is heard; rejects when it can't be. */
  readonly listening: Promise<void>
  /** Rejects with the reason once nothing is heard any more. */
  readonly ended: Promise<never>
  /** Ends it, in whatever state it is; once it resolves, nothing is left of it that the server could know of. */
  close(): Promise<void>
}

/** Begins to listen, by a connection of its own; `hear` is told every payload. */
export type Subscribe = (hear: (payload: unknown) => void) => Subscription

export interface ListenerParts {
  readonly subscribe: Subscribe
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
   * One connection, from its making to its end.
   * @throws whatever ended it, unless it was `stop`
   */
  async #epoch(onListening: () => void): Promise<void> {
    const { signal } = this.#stopping
    const { promise: stopped, resolve: stop } = Promise.withResolvers<void>()
    signal.addEventListener('abort', () => stop(), { once: true })
    if (signal.aborted) stop()
    const subscription = this.#parts.subscribe((payload) => this.#hear(payload))
    try {
      await Promise.race([subscription.listening, subscription.ended, stopped])
      if (signal.aborted) return
      this.#listening = true
      onListening()
      this.#firstAttempt.resolve()
      this.#parts.onNews()
      await Promise.race([subscription.ended, stopped])
    } finally {
      this.#listening = false
      await subscription.close()
    }
  }

  /** Anyone may notify: what is not a position is not from our triggers. */
  #hear(payload: unknown): void {
    const position = Number(payload)
    if (Number.isSafeInteger(position) && position > 0) this.#parts.onNews(position)
  }
}
