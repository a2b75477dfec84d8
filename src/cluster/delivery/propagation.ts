// How long changes took to come here, by the path on which each came first.
import type { Clock, Moment } from '../../base/clock.ts'
import { Histogram } from '../../base/histogram.ts'
import type { LogEvent } from '../../event-log/event.ts'
import { type DeliveryPath, deliveryPaths } from '../../event-log/event-log.ts'

/** In ms: from a push within a machine to a pull after an outage. */
const boundsMs = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 60_000]

/** Milliseconds of the newest change that came by each path, from its commit to its application here. */
export type LastTimes = Partial<Record<DeliveryPath, number>>

export class Propagation {
  readonly histograms: Readonly<Record<DeliveryPath, Histogram>>
  readonly #clock: Clock
  readonly #last: LastTimes = {}
  /** What the database's clock shows more than this machine's; unknown before the first answer. */
  #offsetMs: number | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.histograms = Object.fromEntries(
      deliveryPaths.map((path) => [path, new Histogram(boundsMs)]),
    ) as Record<DeliveryPath, Histogram>
  }

  get lastMs(): LastTimes {
    return { ...this.#last }
  }

  /** The database's clock showed `now` at some time between `sentAt` and this call: off by half of that at the most. */
  tell(now: number, sentAt: Moment): void {
    this.#offsetMs = now - (sentAt.wall + this.#clock.now()) / 2
  }

  /** A transaction was applied. Until the database's clock is known, nothing can be said about how old it is. */
  record(events: readonly LogEvent[], path: DeliveryPath): void {
    const at = events[0] && committedAt(events[0])
    if (at === undefined || this.#offsetMs === undefined) return
    const tookMs = Math.max(0, this.#clock.now() + this.#offsetMs - at)
    this.#last[path] = tookMs
    this.histograms[path].observe(tookMs)
  }
}

/** By the database's clock, in ms; read without parsing what may be long. Postgres prints the shortest names first. */
function committedAt({ body }: LogEvent): number | undefined {
  const at = /^\{"at": (\d+)/.exec(body)?.[1]
  return at === undefined ? undefined : Number(at)
}
