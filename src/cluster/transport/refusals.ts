// Who was not let in, counted in full and logged in part: strangers decide how often they knock.
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import { type RefusalReason, refusalReasons, type StrangerReason, strangerReasons } from './transport.ts'

type Reason = StrangerReason | RefusalReason

/** For each reason one line in this time says how many there were. Short enough to see a wrong key while it is set. */
const logIntervalMs = 10_000

export class Refusals {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #counts = Object.fromEntries(
    [...strangerReasons, ...refusalReasons].map((reason) => [reason, 0]),
  ) as Record<Reason, number>
  readonly #logged = new Map<Reason, { atMs: number; count: number }>()

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  get counts(): Readonly<Record<Reason, number>> {
    return { ...this.#counts }
  }

  /** @param fields  what to log of it, e.g. `{ from: '10.0.0.7:51234' }` */
  add(reason: Reason, fields: Readonly<Record<string, unknown>>): void {
    const count = ++this.#counts[reason]
    const last = this.#logged.get(reason)
    const now = this.#clock.monotonic()
    if (last && now - last.atMs < logIntervalMs) return
    this.#logged.set(reason, { atMs: now, count })
    this.#logger.warn('connection refused', { reason, ...fields, sinceLastLine: count - (last?.count ?? 0) })
  }
}
