// Keeps the filter in step with the log: read in pages, each with the stamp of its own snapshot, and after that told of
// every event. While it is being read, or when it is in doubt, it answers nothing.
import { backoffMs } from '../base/backoff.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { codeOf } from '../base/errors.ts'
import type { Row } from '../base/json.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Position, Stamped } from '../base/stamp.ts'
import type { Entity, Lookup } from '../entities/define.ts'
import type { Change } from '../event-log/event.ts'
import type { KeyPage } from '../store/store.ts'
import { idOf } from './apply.ts'
import { filteredLookups, KeyFilter, type SharedFilter } from './key-filter.ts'
import { KeySet } from './key-set.ts'
import { keyOfRow } from './keys.ts'
import { LoadReport } from './load-report.ts'

/** An event's change with its place in the log. */
export interface Applied {
  readonly position: Position
  readonly change: Change
}

export interface FilterOptions {
  /** Reads a page of the primary; resolves once its stamp is applied here. */
  readonly read: (entity: Entity, page: KeyPage) => Promise<Stamped<readonly Row[]>>
  /** What `shared` is has changed: called before what changes next is told to anybody. */
  readonly changed: () => void
  /** With more keys than this, 9 to 15 bytes each, it is not used: then all lookups are reads again. 0: never. */
  readonly keysMax: number
  /** Rows a page. More make fewer reads, and hold up this thread for longer. Default 1,000: some milliseconds. */
  readonly pageRows?: number
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** For status pages. */
export interface FilterCounts {
  /** Whether it answers. */
  readonly inUse: boolean
  readonly keys: number
  readonly bytes: number
}

/** One that is being read, or in use. */
interface Content {
  readonly keys: KeySet
  readonly coverages: ReadonlyMap<string, Coverage>
  /** Prefixes of all their lookups. */
  readonly families: readonly string[]
}

interface Coverage {
  readonly entity: Entity
  readonly lookups: readonly Lookup[]
  /** The highest id that a page has covered; null before the first. Of rows after it, events mean nothing yet. */
  upTo: string | null
}

/** After every id: these are UUIDs, which sort as their texts do. */
const afterAll = '~'
/** Until a load that failed is tried again. */
const retry = { firstMs: 100, mostMs: 5000 }

export class FilterProjection {
  readonly #options: FilterOptions
  readonly #secret: Int32Array
  #content: Content | undefined
  #filter: KeyFilter | undefined
  /** What was applied since the page that is on its way was asked for. */
  #missed: Applied[] = []
  /** Loads that were begun so far: one that is not the last has nothing to say any more. */
  #loads = 0
  #retry: Timer | undefined
  #stopped = false

  constructor(options: FilterOptions) {
    this.#options = options
    const secret = Buffer.from(options.random.hex(16), 'hex')
    this.#secret = new Int32Array(4).map((_, i) => secret.readInt32LE(4 * i))
  }

  /** What answers here; undefined while nothing can be told. */
  get filter(): KeyFilter | undefined {
    return this.#filter
  }

  /** The same for other threads. */
  get shared(): SharedFilter | undefined {
    return this.#filter && this.#content && sharedOf(this.#content)
  }

  get counts(): FilterCounts {
    const keys = this.#content?.keys
    return { inUse: this.#filter !== undefined, keys: keys?.size ?? 0, bytes: keys?.buffer.byteLength ?? 0 }
  }

  /**
   * Takes it out of use. What it says may be wrong (another history, a fault that a join's purge is there to mend), and
   * unlike the projected rows it need not go on meanwhile: who is told nothing asks the datastore.
   */
  withdraw(): void {
    this.#loads++
    this.#retry?.cancel()
    this.#content = undefined
    if (this.#filter === undefined) return
    this.#filter = undefined
    this.#options.changed()
  }

  /** Takes it out of use and reads it anew, for these entities, in the background. */
  renew(entities: Iterable<Entity>): void {
    this.withdraw()
    if (this.#options.keysMax > 0 && !this.#stopped) void this.#load(this.#loads, [...entities], 0)
  }

  /**
   * The keys that rows have got. To be called before workers are told of the changes: who is told must find them.
   * Whoever is not told yet asks for them in vain, no more.
   */
  add(applied: readonly Applied[]): void {
    const content = this.#content
    if (!content) return
    if (!this.#filter) this.#missed.push(...applied)
    const { buffer } = content.keys
    this.#judge(content, () => {
      for (const { change } of applied) this.#account('new', change, content, isCovered)
    })
    if (this.#filter && content === this.#content && content.keys.buffer !== buffer) this.#use(content)
  }

  /**
   * The keys that rows have lost. To be called after workers were told of the changes: whoever misses a key is behind
   * then, and sees that he is.
   */
  remove(applied: readonly Applied[]): void {
    const content = this.#content
    if (!content) return
    this.#judge(content, () => {
      for (const { change } of applied) this.#account('old', change, content, isCovered)
    })
  }

  /** Loads nothing more. What is in use stays so. */
  stop(): void {
    this.#stopped = true
    this.#retry?.cancel()
  }

  async #load(load: number, entities: readonly Entity[], attempt: number): Promise<void> {
    const content = this.#emptyContent(entities)
    this.#content = content
    const report = new LoadReport(this.#options.clock, this.#options.logger, 'the filter of keys is loading')
    try {
      for (const coverage of content.coverages.values()) {
        while (coverage.upTo !== afterAll) {
          await this.#readPage(content, coverage)
          if (load !== this.#loads) return
          report.tell(content.keys.size)
        }
      }
      this.#options.logger.info('the filter of keys is loaded', { keys: content.keys.size })
      this.#use(content)
    } catch (error) {
      if (load !== this.#loads || this.#stopped) return
      const level = codeOf(error) === 'datastore-away' ? 'debug' : 'warn'
      this.#options.logger[level]('the filter of keys could not be loaded', { error })
      this.#loadLater(entities, attempt)
    }
  }

  /**
   * A page is true at its stamp, and other pages at other stamps. So events are applied to the rows of pages that were
   * read, by id; and those that came while the page was on its way, to its rows, if its snapshot does not have them.
   */
  async #readPage(content: Content, coverage: Coverage): Promise<void> {
    const { entity, lookups, upTo: after } = coverage
    const size = this.#options.pageRows ?? 1000
    const columns = ['id', ...new Set(lookups.flatMap(({ by }) => by))]
    this.#missed = []
    const { value: rows, stamp } = await this.#options.read(entity, { columns, after, size })
    if (content !== this.#content) return
    const upTo = rows.length < size ? afterAll : idOf(rows.at(-1) as Row)
    for (const row of rows) for (const key of keysOf(row, lookups)) content.keys.add(key)
    coverage.upTo = upTo
    const isOfPage = (id: string) => (after === null || id > after) && id <= upTo
    this.#judge(content, () => {
      for (const { position, change } of this.#missed) {
        if (position <= stamp.position || change.entity !== entity.name) continue
        this.#account('new', change, content, (_, id) => isOfPage(id))
        this.#account('old', change, content, (_, id) => isOfPage(id))
      }
    })
  }

  #account(
    image: 'old' | 'new',
    change: Change,
    { keys, coverages }: Content,
    covers: (coverage: Coverage, id: string) => boolean,
  ): void {
    const coverage = coverages.get(change.entity)
    const row = change[image]
    if (!coverage || row === null || !covers(coverage, idOf(row))) return
    const other = change[image === 'old' ? 'new' : 'old']
    const kept = other && idOf(other) === idOf(row) ? keysOf(other, coverage.lookups) : []
    for (const key of keysOf(row, coverage.lookups)) {
      if (kept.includes(key)) continue
      if (image === 'new') keys.add(key)
      else if (!keys.remove(key)) throw new Error(`a key of ${change.entity} that a row had was not known`)
    }
  }

  /** Takes it out of use if `account` finds that it can't be right, or that it has grown too big. */
  #judge({ keys, coverages }: Content, account: () => void): void {
    const { logger, keysMax } = this.#options
    try {
      account()
    } catch (error) {
      logger.error('the filter of keys is in doubt', { error })
      this.#loadLater(
        [...coverages.values()].map(({ entity }) => entity),
        0,
      )
    }
    if (keys.size <= keysMax) return
    logger.warn('there are more keys than the filter may hold, so it is not used', { keysMax })
    this.withdraw()
  }

  #use(content: Content): void {
    this.#filter = new KeyFilter(sharedOf(content))
    this.#options.changed()
  }

  #emptyContent(entities: readonly Entity[]): Content {
    const coverages = entities
      .map((entity) => ({ entity, lookups: filteredLookups(entity), upTo: null }))
      .filter(({ lookups }) => lookups.length > 0)
    return {
      keys: KeySet.make(this.#secret),
      coverages: new Map(coverages.map((coverage) => [coverage.entity.name, coverage])),
      families: coverages.flatMap(({ lookups }) => lookups.map(({ prefix }) => prefix)),
    }
  }

  #loadLater(entities: readonly Entity[], attempt: number): void {
    const { clock, random } = this.#options
    this.withdraw()
    if (this.#stopped) return
    const load = this.#loads
    this.#retry = clock.after(backoffMs(attempt, retry, random), () => {
      void this.#load(load, entities, attempt + 1)
    })
  }
}

function sharedOf({ keys, families }: Content): SharedFilter {
  return { buffer: keys.buffer, families }
}

function isCovered({ upTo }: Coverage, id: string): boolean {
  return upTo !== null && id <= upTo
}

/**
 * Those by which the row is looked up. Without a value in one of the columns it has no key of its own.
 * @throws {Error} when a column is missing: the image is of a schema that this code does not know
 */
function keysOf(row: Row, lookups: readonly Lookup[]): readonly string[] {
  for (const column of lookups.flatMap(({ by }) => by)) {
    if (!Object.hasOwn(row, column)) throw new Error(`an image of a row has no ${column}`)
  }
  const complete = lookups.filter(({ by }) => by.every((column) => row[column] !== null))
  return complete.map((lookup) => keyOfRow(lookup, row))
}
