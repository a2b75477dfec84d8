// Counts in memory that all threads of a node share: a table of fixed size, in which each identifier has one place
// that it is looked for, its bucket. Whoever counts locks the bucket for as long as that takes (about a microsecond),
// so that looking and counting are one step, in all periods at once; no thread asks another.
import { hash } from 'node:crypto'
import QuickLRU from 'quick-lru'
import { type PerPeriod, periods, windowEndsAt, windowsAt } from '../../base/calendar.ts'
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { Ask, Counting, Tally } from '../../plugins/plugin.ts'
import { Repeats } from '../../proxy/repeats.ts'
import { CountersAway } from '../errors.ts'

/**
 * Identifiers that can be counted at once, in 8.5 MB. More remember more callers; the memory is taken by the system
 * once it is used.
 */
const identifiersMax = 2 ** 17

/** Entries that share a lock. More put off the day on which one of them must go, and take longer to look through. */
const bucketEntries = 8

/** Of a bucket: one lock, then its entries one after the other. An entry fills one line of a processor's cache. */
const lockBytes = Int32Array.BYTES_PER_ELEMENT
const entryWords = 16
const bucketBytes = lockBytes + bucketEntries * entryWords * Uint32Array.BYTES_PER_ELEMENT

/**
 * Words of an entry. `key`: two words of the hash of whose it is, zero when free. `expires`: when nothing in it counts
 * any more, in seconds since 1970. `windows` and `counts`: one word for each period.
 */
const word = { key: 0, expires: 2, windows: 4, counts: 4 + periods.length } as const

/** A count stays there: a limit above it is never reached. */
const countMax = 2 ** 32 - 1

/** Identifiers whose hash is remembered. Some 200 bytes each; who is not among them takes a microsecond more. */
const keysMax = 5000

const free = 0
/** Some 100 µs: only a thread that the system took off holds a lock for longer, or one that has ended. */
const triesMax = 5000
const waitMs = 1
/** Then its holder hangs: what one that has ended held is freed sooner (`releaseLocks`). */
const waitsMax = 2000

/** What the threads share. */
export function localCountersBuffer(identifiers = identifiersMax): SharedArrayBuffer {
  return new SharedArrayBuffer(Math.ceil(identifiers / bucketEntries) * bucketBytes)
}

/** Frees what a thread held that has ended, at whatever point it was ended. */
export function releaseLocks(buffer: SharedArrayBuffer, owner: number): void {
  const { locks } = viewsOf(buffer)
  for (let bucket = 0; bucket < locks.length; bucket++) Atomics.compareExchange(locks, bucket, owner, free)
}

export interface LocalCountersOptions {
  readonly buffer: SharedArrayBuffer
  /** This thread's number among those that share the buffer, from 1. */
  readonly owner: number
  readonly clock: Clock
  readonly logger: Logger
}

export class LocalCounters implements Counting {
  readonly #locks: Int32Array
  readonly #words: Uint32Array
  readonly #keys = new QuickLRU<string, Key>({ maxSize: keysMax })
  /** Of the second that was last looked at. */
  #windows: readonly number[] = []
  #second = Number.NaN
  readonly #owner: number
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #repeats: Repeats

  constructor({ buffer, owner, clock, logger }: LocalCountersOptions) {
    const { locks, words } = viewsOf(buffer)
    this.#locks = locks
    this.#words = words
    this.#owner = owner
    this.#clock = clock
    this.#logger = logger
    this.#repeats = new Repeats(clock)
  }

  take(ask: Ask): Tally | Promise<never> {
    return (
      this.#visit(ask, (entry, nowMs) => this.#count(entry, ask.limits, nowMs)) ?? Promise.reject(stuck())
    )
  }

  read(ask: Ask): PerPeriod<number> | Promise<never> {
    return this.#visit(ask, (entry, nowMs) => this.#used(entry, nowMs)) ?? Promise.reject(stuck())
  }

  add(ask: Ask, times: number): void {
    const added = this.#visit(ask, (entry, nowMs) => {
      this.#renew(entry, nowMs)
      this.#add(entry, times, ask.limits, nowMs)
      return true
    })
    if (!added) this.#logger.warn('requests could not be counted', { error: stuck() })
  }

  /** What `act` returns for the entry of what is asked about, or undefined when a thread does not let go of it. */
  #visit<T>({ table, api, identifier }: Ask, act: (entry: number, nowMs: number) => T): T | undefined {
    const key = this.#keyOf(`${table} ${api} ${identifier}`)
    const { bucket } = key
    if (!this.#lock(bucket)) return undefined
    let forgotten = false
    try {
      // Read under the lock, so that no thread takes back a window that another has begun.
      const nowMs = this.#clock.now()
      const place = this.#placeOf(key, nowMs / 1000)
      forgotten = place.forgotten
      return act(place.entry, nowMs)
    } finally {
      Atomics.store(this.#locks, bucket, free)
      if (forgotten) this.#tell()
    }
  }

  /** A hash that nobody can aim: no caller chooses its bucket, and none finds another's 64 bits. */
  #keyOf(text: string): Key {
    const known = this.#keys.get(text)
    if (known) return known
    const digest = hash('sha256', text, 'buffer')
    const bucket = digest.readUInt32LE(8) % this.#locks.length
    const key = { a: digest.readUInt32LE(0), b: digest.readUInt32LE(4), bucket }
    this.#keys.set(text, key)
    return key
  }

  /** Whether it has the lock now; it waits as long as it may. */
  #lock(bucket: number): boolean {
    for (let tries = 0; tries < triesMax; tries++) if (this.#seize(bucket)) return true
    for (let waits = 0; waits < waitsMax; waits++) {
      const holder = Atomics.load(this.#locks, bucket)
      if (holder !== free) Atomics.wait(this.#locks, bucket, holder, waitMs)
      if (this.#seize(bucket)) return true
    }
    return false
  }

  #seize(bucket: number): boolean {
    // Looked at first: trying takes the line of memory away from whoever holds the lock.
    if (Atomics.load(this.#locks, bucket) !== free) return false
    return Atomics.compareExchange(this.#locks, bucket, free, this.#owner) === free
  }

  /** The entry that has `key`, or one that is made free for it. */
  #placeOf({ a, b, bucket }: Key, nowSeconds: number): Place {
    const first = bucket * bucketEntries * entryWords
    let least = first
    for (let entry = first; entry < first + bucketEntries * entryWords; entry += entryWords) {
      if (this.#at(entry + word.key) === a && this.#at(entry + word.key + 1) === b) {
        return { entry, forgotten: false }
      }
      if (this.#worth(entry, nowSeconds) < this.#worth(least, nowSeconds)) least = entry
    }
    const forgotten = this.#worth(least, nowSeconds) > 0
    // In this order: an entry whose thread was ended in between is free, not somebody's with another's counts.
    this.#words.fill(0, least, least + entryWords)
    this.#words[least + word.key] = a
    this.#words[least + word.key + 1] = b
    return { entry: least, forgotten }
  }

  /**
   * The requests that would be forgotten with an entry: those of its longest window. The entry with the fewest goes
   * first, so that a flood of callers that come once drives out its own and not those who are near a limit.
   */
  #worth(entry: number, nowSeconds: number): number {
    return this.#at(entry + word.expires) <= nowSeconds
      ? 0
      : this.#at(entry + word.counts + periods.length - 1)
  }

  #count(entry: number, limits: Ask['limits'], nowMs: number): Tally {
    const used = this.#used(entry, nowMs)
    for (const period of periods)
      if (used[period] >= (limits[period] ?? Infinity)) return { counted: false, used }
    this.#add(entry, 1, limits, nowMs)
    return { counted: true, used: this.#read(entry) }
  }

  #used(entry: number, nowMs: number): PerPeriod<number> {
    this.#renew(entry, nowMs)
    return this.#read(entry)
  }

  #read(entry: number): PerPeriod<number> {
    const at = entry + word.counts
    return {
      second: this.#at(at),
      minute: this.#at(at + 1),
      hour: this.#at(at + 2),
      day: this.#at(at + 3),
      month: this.#at(at + 4),
      year: this.#at(at + 5),
    }
  }

  /** Begins the windows that have begun since. */
  #renew(entry: number, nowMs: number): void {
    const windows = this.#windowsAt(nowMs)
    for (let i = 0; i < windows.length; i++) {
      const window = windows[i] as number
      if (this.#at(entry + word.windows + i) === window) continue
      this.#words[entry + word.counts + i] = 0
      this.#words[entry + word.windows + i] = window
    }
  }

  #windowsAt(nowMs: number): readonly number[] {
    const second = Math.floor(nowMs / 1000)
    if (second !== this.#second) this.#windows = windowsAt(nowMs)
    this.#second = second
    return this.#windows
  }

  #add(entry: number, times: number, limits: Ask['limits'], nowMs: number): void {
    for (let i = entry + word.counts; i < entry + word.counts + periods.length; i++) {
      this.#words[i] = Math.min(this.#at(i) + times, countMax)
    }
    const longest = periods.findLast((period) => limits[period] !== undefined)
    if (longest) this.#words[entry + word.expires] = windowEndsAt(longest, nowMs) / 1000
  }

  #at(index: number): number {
    return this.#words[index] as number
  }

  #tell(): void {
    this.#repeats.say('forgotten', (keptBack) =>
      this.#logger.warn('more callers than can be counted: those with the fewest requests are forgotten', {
        keptBack,
      }),
    )
  }
}

function stuck(): CountersAway {
  return new CountersAway('a thread does not let go of what it counts')
}

interface Key {
  /** Two words of the hash. */
  readonly a: number
  readonly b: number
  readonly bucket: number
}

interface Place {
  readonly entry: number
  /** Whether somebody's counts had to go. */
  readonly forgotten: boolean
}

function viewsOf(buffer: SharedArrayBuffer): { locks: Int32Array; words: Uint32Array } {
  const buckets = buffer.byteLength / bucketBytes
  return { locks: new Int32Array(buffer, 0, buckets), words: new Uint32Array(buffer, buckets * lockBytes) }
}
