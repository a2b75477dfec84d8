// The log, read from other nodes while the datastore is away: each keeps what it applied last. What they hand out is
// held against the chain of digests, so at worst it is worth nothing.
import { z } from 'zod'
import { codeOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Position, Stamp } from '../../base/stamp.ts'
import { continues } from '../../event-log/digest.ts'
import type { EventLog, Page } from '../../event-log/event-log.ts'
import { loggedEvent, type Target } from './push.ts'
import type { RecentTransactions } from './recent-transactions.ts'

export interface PeerLogParts {
  /** The log in the datastore. */
  readonly log: EventLog
  /** Whether the datastore is known not to answer: then the others are asked first. */
  readonly isAway: () => boolean
  /** Connections to those that are known to have applied more than `applied`. */
  readonly ahead: (applied: Stamp) => readonly Target[]
  readonly recent: RecentTransactions
  /** The digest at the end of a transaction that was applied not long ago. */
  readonly digestAt: (position: Position) => string | undefined
  readonly applied: () => Stamp
  readonly logger: Logger
}

export const fetchMethod = 'fetch'

/** Wire format: fields are only ever added. */
const asked = z.object({ position: z.int().nonnegative(), digest: z.string().length(64) })
const answered = z.object({ events: z.array(loggedEvent), applied: z.int() })

/** Half of a frame, for what JSON adds to it. */
const pageBytes = 256 << 10
/** One that takes longer is as good as away. */
const fetchTimeoutMs = 1000

export class PeerLog implements EventLog {
  readonly #parts: PeerLogParts

  constructor(parts: PeerLogParts) {
    this.#parts = parts
  }

  head(): Promise<Stamp> {
    return this.#parts.log.head()
  }

  async read(applied: Stamp): Promise<Page> {
    const { log, isAway } = this.#parts
    const early = isAway() ? await this.#fetch(applied) : undefined
    if (early) return early
    try {
      return await log.read(applied)
    } catch (error) {
      const page = codeOf(error) === 'datastore-away' && !isAway() ? await this.#fetch(applied) : undefined
      if (page) return page
      throw error
    }
  }

  /** What the others remember is of their history, which may be lost. */
  hasBoth(one: Stamp, other: Stamp): Promise<boolean> {
    return this.#parts.log.hasBoth(one, other)
  }

  /** What another node asks for: nothing, when it is of another history or too far behind. */
  answer(params: unknown): z.infer<typeof answered> {
    const { position, digest } = asked.parse(params)
    const { digestAt, recent, applied } = this.#parts
    const events = digestAt(position) === digest ? [...recent.after(position, pageBytes)] : []
    return { events, applied: applied().position }
  }

  async #fetch(applied: Stamp): Promise<Page | undefined> {
    const { ahead, logger } = this.#parts
    for (const peer of ahead(applied)) {
      try {
        const page = answered.parse(await peer.call(fetchMethod, applied, fetchTimeoutMs))
        const last = page.events.at(-1)
        if (last && continues(applied, page.events)) {
          return { kind: 'events', events: page.events, more: page.applied > last.position, path: 'peer' }
        }
      } catch (error) {
        logger.debug('a member did not hand out the log', { error })
      }
    }
    return undefined
  }
}
