// Values under keys, each with the position of the log that it is known to be right at. No I/O and no clock: what
// is true is told by events alone, so nothing here expires.
import { Counts } from '../base/counts.ts'
import type { Position } from '../base/stamp.ts'
import type { Entry } from './entry.ts'
import { entryBytes } from './entry-size.ts'
import { type Floor, Floors, reaches } from './floor.ts'
import { type Attempt, type Landed, SingleFlight, type SingleFlightOptions } from './single-flight.ts'

export type { Attempt, Entry, Landed, SingleFlight }

export interface CacheOptions {
  /**
   * Bound on the estimated size of all entries, in bytes. Higher means fewer reads of the datastore and a larger
   * process: a worker's heap holds its own entries besides those of the node.
   */
  readonly maxBytes: number
  /** Where it counts, `cacheCounterNames.length` numbers: another thread may look on. Default: its own. */
  readonly counters?: Float64Array | undefined
}

/**
 * For status pages. All but the last two, which say what is held, only ever rise. `absences` are those of the misses that
 * needed no asking, `oversized` what was too big to be kept.
 */
export const cacheCounterNames = [
  'hits',
  'misses',
  'absences',
  'fills',
  'refusedByFloor',
  'evictions',
  'oversized',
  'purges',
  'bytes',
  'entries',
] as const
export type CacheCounter = (typeof cacheCounterNames)[number]
export type CacheCounters = Readonly<Record<CacheCounter, number>>

interface Held<T> extends Entry<T> {
  readonly bytes: number
  /** Purged when it is below the cache's. */
  readonly epoch: number
  /** Counts the insertions of the whole cache: how many came after this one says how old it is. */
  moved: number
}

/** Eviction stops this far under the bound: deleting from the front of a Map scans what was deleted before. */
const evictedTo = 0.97

/** From this part of the bound on, it is kept in mind which entries are in use. */
const movedFrom = 0.5

/** A bigger entry, as a part of the bound, is not kept: one eviction would leave the cache too empty. */
const entryPartMax = 0.1

/**
 * Entries that say that there is nothing take this part of the bound at the most, and then make room for each other: who
 * makes up keys can't put out what others need.
 */
const absentPartMax = 0.1

/** V8's Map throws at 2^24 slots, deleted ones included; at half of that it can always compact itself. */
const entriesMax = 2 ** 23

/** The cache of one thread. */
export class Cache<T> {
  /** The flights that will fill it; events raise them. */
  readonly floors = new Floors()
  readonly #maxBytes: number
  /** The oldest first. */
  readonly #held = new Map<string, Held<T>>()
  /** Keys of entries without a value, the oldest first. */
  readonly #absent = new Set<string>()
  #absentBytes = 0
  /** The keys of each prefix for which all were replaced at once before. */
  readonly #families = new Map<string, Set<string>>()
  #epoch = 1
  /** Entries below the epoch. */
  #purged = 0
  #moves = 0
  readonly #counts: Counts<CacheCounter>

  constructor({ maxBytes, counters }: CacheOptions) {
    this.#maxBytes = maxBytes
    this.#counts = new Counts(cacheCounterNames, counters)
    // Of a cache that counted there before, what it held went with it.
    this.#clearHeld()
  }

  get counters(): CacheCounters {
    return this.#counts.all()
  }

  /** Makes what asks, once for each key, for what is missed here; see single-flight.ts. One for a cache. */
  flights<Q>(options: SingleFlightOptions<T, Q>): SingleFlight<T, Q> {
    return new SingleFlight(this, options)
  }

  /** What is known under `key`; undefined when nothing is, or when it was purged. */
  get(key: string): Entry<T> | undefined {
    const held = this.#held.get(key)
    if (held === undefined || held.epoch < this.#epoch) {
      this.#counts.add('misses')
      return undefined
    }
    this.#counts.add('hits')
    this.#keepRecent(key, held)
    return held
  }

  /** What was just missed is known not to exist, though no entry says so. */
  countAbsence(): void {
    this.#counts.add('absences')
  }

  /** As `get`, for an onlooker: counts nothing and keeps nothing from being evicted. */
  peek(key: string): Entry<T> | undefined {
    const held = this.#held.get(key)
    return held && held.epoch === this.#epoch ? held : undefined
  }

  /**
   * All keys, those of purged entries too. May be read bit by bit: what is added meanwhile is still to come, and what
   * is moved may come twice.
   */
  *keys(): Generator<string> {
    yield* this.#held.keys()
  }

  /** A purged entry: still right, since events apply to it, but to be used only while the datastore is away. */
  peekPurged(key: string): Entry<T> | undefined {
    const held = this.#held.get(key)
    return held && held.epoch < this.#epoch ? held : undefined
  }

  /**
   * Keeps what a flight brought, unless it is below the flight's floor or older than what is held.
   * @param standIn  keep it as a purged entry: it was one where it comes from
   * @returns        what is known now; undefined when the answer is below the floor: nobody may be given it
   */
  fill(
    key: string,
    value: T | null,
    position: Position,
    floor: Floor,
    standIn = false,
  ): Entry<T> | undefined {
    if (!reaches(floor, position)) {
      this.#counts.add('refusedByFloor')
      return undefined
    }
    const held = this.#held.get(key)
    if (held && held.position >= position && (standIn || held.epoch === this.#epoch)) return held
    this.#counts.add('fills')
    this.#remove(key, held)
    this.#insert(key, value, position, standIn ? this.#epoch - 1 : this.#epoch)
    return { value, position }
  }

  /** An event made the entry's value unknown. */
  drop(key: string, position: Position): void {
    this.floors.raise(key, position)
    const held = this.#held.get(key)
    if (held && held.position < position) this.#remove(key, held)
  }

  /** As `drop`, for all keys that start with `prefix`: for an event that can't say which. Costs a full scan. */
  dropAll(prefix: string, position: Position): void {
    this.floors.raiseAll(position, prefix)
    for (const [key, held] of this.#held) {
      if (key.startsWith(prefix) && held.position < position) this.#remove(key, held)
    }
  }

  /**
   * An event says what the value became. Changes an entry that is there, purged ones too, and makes none: what
   * nobody asked for need not be kept.
   */
  replace(key: string, revise: (value: T | null) => T | null, position: Position): void {
    this.floors.raise(key, position)
    const held = this.#held.get(key)
    if (held === undefined || held.position >= position) return
    const value = revise(held.value)
    const bytes = entryBytes(key, value)
    if (this.#isOversized(bytes)) {
      this.#remove(key, held)
      return
    }
    // In its place: being changed is not being used.
    const changed = { value, position, bytes, epoch: held.epoch, moved: held.moved }
    this.#account(key, held, -1)
    this.#held.set(key, changed)
    this.#account(key, changed, 1)
    this.#evict()
  }

  /** As `replace`, for all keys that start with `prefix`. Costs a full scan the first time: from then on they are known. */
  replaceAll(prefix: string, revise: (value: T | null) => T | null, position: Position): void {
    this.floors.raiseAll(position, prefix)
    for (const key of [...this.#familyAt(prefix)]) this.replace(key, revise, position)
  }

  /** Removes the entry whatever its position: somebody asked for it, no event did. */
  forget(key: string): void {
    this.#remove(key, this.#held.get(key))
  }

  /**
   * Everything counts as absent from now on. Entries stay, events apply to them, and they are evicted before all others.
   */
  purge(position: Position): void {
    this.#epoch++
    this.#purged = this.#counts.get('entries')
    this.#counts.add('purges')
    this.floors.raiseAll(position)
  }

  /** Another history: deletes everything and lets no flight in. */
  reset(): void {
    this.#held.clear()
    this.#clearHeld()
    this.floors.discardAll()
  }

  #familyAt(prefix: string): ReadonlySet<string> {
    const known = this.#families.get(prefix)
    if (known) return known
    const keys = new Set(this.keys().filter((key) => key.startsWith(prefix)))
    this.#families.set(prefix, keys)
    return keys
  }

  #clearHeld(): void {
    this.#counts.clear('bytes')
    this.#counts.clear('entries')
    this.#absent.clear()
    this.#absentBytes = 0
    this.#purged = 0
    this.#families.clear()
  }

  /**
   * Moves an entry to the young end only when it lies in the older half: most hits move nothing. None does while there
   * is room for as much again: by the time that something has to go, what is in use has been moved.
   */
  #keepRecent(key: string, held: Held<T>): void {
    if (this.#counts.get('bytes') < this.#maxBytes * movedFrom) return
    if (this.#moves - held.moved <= this.#counts.get('entries') / 2) return
    held.moved = ++this.#moves
    this.#held.delete(key)
    this.#held.set(key, held)
  }

  #insert(key: string, value: T | null, position: Position, epoch: number): void {
    const bytes = entryBytes(key, value)
    if (this.#isOversized(bytes)) return
    const held = { value, position, bytes, epoch, moved: ++this.#moves }
    this.#held.set(key, held)
    this.#account(key, held, 1)
    this.#evict()
  }

  #remove(key: string, held: Held<T> | undefined): void {
    if (held === undefined) return
    this.#held.delete(key)
    this.#account(key, held, -1)
  }

  /** What is held, with this entry or without it. */
  #account(key: string, { value, bytes, epoch }: Held<T>, sign: 1 | -1): void {
    this.#counts.add('bytes', sign * bytes)
    this.#counts.add('entries', sign)
    if (epoch < this.#epoch) this.#purged += sign
    for (const [prefix, keys] of this.#families) {
      if (!key.startsWith(prefix)) continue
      if (sign > 0) keys.add(key)
      else keys.delete(key)
    }
    if (value !== null) return
    this.#absentBytes += sign * bytes
    if (sign > 0) this.#absent.add(key)
    else this.#absent.delete(key)
  }

  #evict(): void {
    if (this.#absentBytes > this.#maxBytes * absentPartMax) this.#evictAbsent()
    if (this.#isWithin(1)) return
    if (this.#purged > 0) this.#evictOldest(({ epoch }) => epoch < this.#epoch)
    this.#evictOldest(() => true)
  }

  #evictOldest(isMeant: (held: Held<T>) => boolean): void {
    for (const [key, held] of this.#held) {
      if (this.#isWithin(evictedTo)) break
      if (isMeant(held)) this.#evictOne(key, held)
    }
  }

  #evictAbsent(): void {
    for (const key of this.#absent) {
      if (this.#absentBytes <= this.#maxBytes * absentPartMax * evictedTo) break
      this.#evictOne(key, this.#held.get(key))
    }
  }

  #evictOne(key: string, held: Held<T> | undefined): void {
    this.#remove(key, held)
    this.#counts.add('evictions')
  }

  #isOversized(bytes: number): boolean {
    if (bytes <= this.#maxBytes * entryPartMax) return false
    this.#counts.add('oversized')
    return true
  }

  #isWithin(part: number): boolean {
    return (
      this.#counts.get('bytes') <= this.#maxBytes * part && this.#counts.get('entries') <= entriesMax * part
    )
  }
}
