// When to pull: the head of the log is read from the primary again and again, so that whatever a notification or
// a push missed is found within one interval.
import type { Clock } from '../base/clock.ts'
import { codeOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { EventLog } from './event-log.ts'
import type { Follower } from './follower.ts'

export interface PullParts {
  /** Reads the head from the primary; the log fits, and whoever does more at the same time. */
  readonly log: Pick<EventLog, 'head'>
  readonly follower: Follower
  readonly clock: Clock
  readonly logger: Logger
}

export interface PullOptions {
  /**
   * Between the answer to one read of the head and the next read. Default 1000. Lower finds sooner what no push
   * and no notification told, at the price of one small read per node and interval.
   */
  readonly heartbeatIntervalMs?: number | undefined
}

/** Whether the datastore answers, and since when, on the clock that never goes back. */
export interface Reachability {
  readonly reachable: boolean
  readonly sinceMs: number
}

/** While the datastore is away: what waits for its return goes on that much later at the most. */
const awayMs = 250

export class Pull {
  readonly #parts: PullParts
  readonly #intervalMs: number
  readonly #stopping = new AbortController()
  #reachability: Reachability
  #away = false

  constructor(parts: PullParts, { heartbeatIntervalMs = 1000 }: PullOptions = {}) {
    this.#parts = parts
    this.#intervalMs = heartbeatIntervalMs
    this.#reachability = { reachable: false, sinceMs: parts.clock.monotonic() }
  }

  start(): void {
    void this.#run()
  }

  /** Something else was read from the primary just now. */
  answered(): void {
    this.#note(true)
  }

  /** Whether the last read of the head failed since the datastore could not be reached, and nothing was read since. */
  isAway(): boolean {
    return this.#away
  }

  /** As the last read of the head found it; not reachable before the first. */
  reachability(): Reachability {
    return this.#reachability
  }

  /** No read is sent from now on; one that is under way ends by itself and is ignored. */
  stop(): void {
    this.#stopping.abort()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      await this.#readHead(signal)
      const { reachable } = this.#reachability
      await this.#parts.clock.sleep(reachable ? this.#intervalMs : Math.min(this.#intervalMs, awayMs), signal)
    }
  }

  async #readHead(signal: AbortSignal): Promise<void> {
    const { log, follower } = this.#parts
    const sentAt = follower.applied()
    try {
      const head = await log.head()
      if (signal.aborted) return
      this.#note(true)
      follower.observe(sentAt, head)
    } catch (error) {
      if (!signal.aborted) this.#note(false, error)
    }
  }

  #note(reachable: boolean, error?: unknown): void {
    const { clock, logger } = this.#parts
    this.#away = codeOf(error) === 'datastore-away'
    if (reachable === this.#reachability.reachable) {
      if (!reachable) logger.debug('the datastore is still away', { error })
      return
    }
    this.#reachability = { reachable, sinceMs: clock.monotonic() }
    if (reachable) logger.info('the datastore answers')
    else logger.warn('the datastore does not answer', { error })
  }
}
