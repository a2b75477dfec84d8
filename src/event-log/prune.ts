// How long the log is: every so often a node looks for events that need not be kept, and removes them little by
// little. Nothing waits for it, and a node that finds its position gone loads anew.
import type { Clock } from '../base/clock.ts'
import { codeOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'

/** What of the log is kept for its own sake; an event that either rule lets go is due. */
export interface Retention {
  /** Days, of 24 hours by the datastore's clock, after which an event is due. Fractions count. */
  readonly keepDays: number
  /** How many of the newest events are kept; those before them are due. */
  readonly keepEvents: number
}

export interface PrunableLog {
  /**
   * Removes the oldest events that are due and that nobody needs, whole transactions as far as they can be pulled.
   *
   * @param eventsMax  no more than this many, unless one transaction alone has more
   * @returns          how many were removed; 0 when there are none, or while another node is at it
   * @throws {DatastoreAway | DatastoreError} when it failed, or when nobody heard that it did not
   */
  prune(retention: Retention, eventsMax: number): Promise<number>
}

export interface PruneParts {
  readonly log: PrunableLog
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** What was done since it was made, for metrics. Only ever rising. */
export interface PruneCounts {
  /** Events that this node has removed from the log. */
  readonly events: number
}

/**
 * Between two looks, on average. A look that finds nothing reads a few rows, and there are as many in this time as
 * there are nodes; what is due is history, and a minute more of it costs little room.
 */
const intervalMs = 60_000

/** Events in one step: some ten milliseconds of deleting, so a step is over before anyone could notice it. */
const stepEvents = 5000

/**
 * After a step it rests for this many times as long as the step took: a slow datastore gets no more than a tenth of
 * the time of one connection to do. A step that comes while another node takes one finds nothing to do and ends the
 * round, so nodes that prune at the same time do not stay many.
 */
const restFactor = 9

/** The shortest rest, for datastores that are quick: 50,000 events a second are enough. */
const restMinMs = 100

export class Prune {
  readonly #parts: PruneParts
  readonly #stopping = new AbortController()
  #retention: Retention
  /** Aborted when there is a reason to look before the time. */
  #wake = new AbortController()
  #events = 0

  constructor(parts: PruneParts, retention: Retention) {
    this.#parts = parts
    this.#retention = retention
  }

  start(): void {
    void this.#run()
  }

  /** Keeps what `retention` says from the next step on, which comes at once. */
  keep(retention: Retention): void {
    this.#retention = retention
    this.#wake.abort()
  }

  counts(): PruneCounts {
    return { events: this.#events }
  }

  /** No step is begun from now on; one that is under way ends by itself. */
  stop(): void {
    this.#stopping.abort()
    this.#wake.abort()
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#parts
    const { signal } = this.#stopping
    while (!signal.aborted) {
      // First of all: nodes that start together look at different times, and a node that starts has enough to do.
      await clock.sleep(intervalMs * (0.5 + random.fraction()), this.#wake.signal)
      this.#wake = new AbortController()
      await this.#round(signal)
    }
  }

  async #round(signal: AbortSignal): Promise<void> {
    const { log, clock, logger } = this.#parts
    const before = this.#events
    try {
      while (!signal.aborted) {
        const startMs = clock.monotonic()
        const removed = await log.prune(this.#retention, stepEvents)
        if (removed === 0) break
        this.#events += removed
        await clock.sleep(Math.max(restMinMs, (clock.monotonic() - startMs) * restFactor), signal)
      }
    } catch (error) {
      // That the datastore is away is told by those who need it.
      if (codeOf(error) === 'datastore-away') logger.debug('could not prune the log', { error })
      else if (!signal.aborted) logger.warn('could not prune the log', { error })
    }
    if (this.#events > before) logger.debug('the log was pruned', { events: this.#events - before })
  }
}
