// The streams of events that are open, and how many may be.
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { tooManyStreams } from './errors.ts'
import { EventStream, type StreamOptions, type StreamTimes } from './event-stream.ts'
import type { LogView } from './log-view.ts'

export interface StreamLimits extends StreamTimes {
  /** Each takes some 30 µs of the node's main thread for every change (measured). */
  readonly streamsMax: number
}

export const streamLimits: StreamLimits = Object.freeze({
  streamsMax: 64,
  heartbeatMs: 15_000,
  stallMs: 30_000,
})

/** Outlives the app that opens them: a reload makes another one. */
export class EventStreams {
  readonly #parts: { readonly clock: Clock; readonly logger: Logger }
  readonly #limits: StreamLimits
  readonly #open = new Set<EventStream>()
  #turn: Promise<unknown> = Promise.resolve()
  #stopped = false

  constructor(
    { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
    limits: StreamLimits = streamLimits,
  ) {
    this.#parts = { clock, logger }
    this.#limits = limits
  }

  /** Begins a stream on `response`. @throws {Refused} 503 when there are too many, or the node stops */
  open(options: StreamOptions): void {
    const { streamsMax, ...times } = this.#limits
    if (this.#stopped || this.#open.size >= streamsMax) throw tooManyStreams(this.#open.size)
    const stream: EventStream = new EventStream(
      { ...options, log: this.#inTurn(options.log) },
      { ...this.#parts, ...times, onEnd: () => this.#open.delete(stream) },
    )
    this.#open.add(stream)
    stream.start()
  }

  /** Ends those that are open: their clients are to ask again. */
  endAll(): void {
    for (const stream of this.#open) stream.stop()
  }

  stop(): void {
    this.#stopped = true
    this.endAll()
  }

  /** All streams together read with one connection to the datastore, however many have something to read. */
  #inTurn(log: LogView): LogView {
    return {
      read: (request) => {
        const page = this.#turn.then(() => log.read(request))
        this.#turn = page.catch(() => undefined)
        return page
      },
      applied: () => log.applied(),
      watch: (watcher) => log.watch(watcher),
    }
  }
}
