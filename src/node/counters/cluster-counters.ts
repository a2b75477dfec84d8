// Counts of all nodes, as one worker sees them. The datastore counts; this sends it one batch after the other, so that
// requests that come while a batch is under way go together in the next one, and remembers for a moment what it said.
import QuickLRU from 'quick-lru'
import { type PerPeriod, periods, perPeriod } from '../../base/calendar.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Ask, Counting, Tally } from '../../plugins/plugin.ts'
import { Repeats } from '../../proxy/repeats.ts'
import type { BatchAnswer, BatchAsk, CountBatch } from './batch.ts'
import { Remembered } from './remembered.ts'

/**
 * How long an answer is believed. Longer asks less often about callers who are over their limit, and is later to see
 * what other workers let through where requests are decided ahead of their count.
 */
const believedMs = 1000

/** How long requests that were decided ahead gather. Longer makes fewer batches, and tells others later. */
const gatherMs = 100

/** Counters in one batch. More wait for the next one, which takes less time than a longer one would. */
const asksMax = 200

/** Counters whose last answer is remembered; the others are asked about. Some 500 bytes each. */
const rememberedMax = 10_000

export interface ClusterCountersOptions {
  readonly count: CountBatch
  readonly clock: Clock
  readonly logger: Logger
}

export class ClusterCounters implements Counting {
  readonly #count: CountBatch
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #repeats: Repeats
  /** What the next batches are made of, by counter and limits. */
  readonly #gathered = new Map<string, Gathered>()
  readonly #remembered = new QuickLRU<string, Remembered>({ maxSize: rememberedMax })
  /** Requests that wait to be part of a batch. */
  #waiting = 0
  #flight: Promise<void> | undefined
  #timer: Timer | undefined

  constructor({ count, clock, logger }: ClusterCountersOptions) {
    this.#count = count
    this.#clock = clock
    this.#logger = logger
    this.#repeats = new Repeats(clock)
  }

  take(ask: Ask): Tally | Promise<Tally> {
    const limits = limitsOf(ask)
    const key = keyOf(ask, limits)
    const now = this.#clock.monotonic()
    const remembered = this.#remembered.get(key)
    if (remembered && remembered.ageMs(now) < believedMs) {
      if (remembered.isOver(limits, now)) return { counted: false, used: remembered.used(now) }
      if (ask.ahead && remembered.covers(limits, now)) {
        remembered.add()
        this.#gather(key, ask, limits).forced++
        this.#sendLater()
        return { counted: true, used: remembered.used(now) }
      }
    }
    return new Promise((resolve, reject) => {
      this.#gather(key, ask, limits).waiters.push({ resolve, reject })
      this.#waiting++
      this.#send()
    })
  }

  read(ask: Ask): Promise<PerPeriod<number>> {
    const limits = limitsOf(ask)
    return new Promise((resolve, reject) => {
      this.#gather(keyOf(ask, limits), ask, limits).readers.push({ resolve, reject })
      this.#waiting++
      // A request that reads several counters does so in one batch.
      queueMicrotask(() => this.#send())
    })
  }

  add(ask: Ask, times: number): void {
    const limits = limitsOf(ask)
    const key = keyOf(ask, limits)
    this.#remembered.get(key)?.add(times)
    this.#gather(key, ask, limits).forced += times
    queueMicrotask(() => this.#send())
  }

  /** Counts what was decided ahead; resolves when that is done, or has failed. */
  async stop(): Promise<void> {
    while (this.#flight || this.#gathered.size > 0) {
      this.#send()
      await this.#flight
    }
  }

  #gather(key: string, { table, api, identifier }: Ask, limits: BatchAsk['limits']): Gathered {
    const gathered = this.#gathered.get(key) ?? {
      key,
      table,
      api,
      identifier,
      limits,
      waiters: [],
      readers: [],
      forced: 0,
    }
    this.#gathered.set(key, gathered)
    return gathered
  }

  #sendLater(): void {
    this.#timer ??= this.#clock.after(gatherMs, () => {
      this.#timer = undefined
      this.#send()
    })
  }

  /** Sends what has gathered, unless a batch is under way. */
  #send(): void {
    if (this.#flight || this.#gathered.size === 0) return
    this.#timer?.cancel()
    this.#timer = undefined
    const batch = this.#gathered.values().take(asksMax).toArray()
    for (const { key, waiters, readers } of batch) {
      this.#gathered.delete(key)
      this.#waiting -= waiters.length + readers.length
    }
    this.#flight = this.#fly(batch).finally(() => {
      this.#flight = undefined
      if (this.#waiting > 0) this.#send()
      else if (this.#gathered.size > 0) this.#sendLater()
    })
  }

  async #fly(batch: readonly Gathered[]): Promise<void> {
    const askedAtMs = this.#clock.monotonic()
    try {
      const answers = await this.#count(batch.map(askOf))
      for (const [i, gathered] of batch.entries()) this.#land(gathered, answers[i] as BatchAnswer, askedAtMs)
    } catch (error) {
      for (const { waiters, readers } of batch)
        for (const { reject } of [...waiters, ...readers]) reject(error)
      this.#repeats.say('failed', (keptBack) =>
        this.#logger.warn('requests could not be counted', { error, keptBack }),
      )
    }
  }

  /** Of the requests that waited, the first ones are those that were counted. */
  #land({ key, waiters, readers }: Gathered, answer: BatchAnswer, askedAtMs: number): void {
    for (const [i, { resolve }] of waiters.entries()) {
      const counted = i < answer.granted
      const after = counted ? answer.granted - 1 - i : 0
      resolve({ counted, used: perPeriod(answer.used.map((used) => used - after)) })
    }
    for (const { resolve } of readers) resolve(perPeriod(answer.used))
    const since = this.#gathered.get(key)?.forced ?? 0
    this.#remembered.set(key, new Remembered(answer, askedAtMs, since))
  }
}

interface Gathered {
  readonly key: string
  readonly table: string
  readonly api: string
  readonly identifier: string
  readonly limits: BatchAsk['limits']
  readonly waiters: { resolve(tally: Tally): void; reject(error: unknown): void }[]
  readonly readers: { resolve(used: PerPeriod<number>): void; reject(error: unknown): void }[]
  /** Let through ahead of their count. */
  forced: number
}

/** For each period, short ones first. */
function limitsOf({ limits }: Ask): BatchAsk['limits'] {
  return periods.map((period) => limits[period] ?? null)
}

function keyOf({ table, api, identifier }: Ask, limits: BatchAsk['limits']): string {
  return [table, api, identifier, ...limits].join(' ')
}

function askOf({ table, api, identifier, limits, waiters, forced }: Gathered): BatchAsk {
  return { table, api, identifier, limits, wanted: waiters.length, forced }
}
