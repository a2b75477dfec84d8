// The node's own knowledge (L2): what it has read of the datastore, kept right by the log. Workers ask it on a miss
// and are told of every change, in the tick in which it is applied.
import { isDeepStrictEqual } from 'node:util'
import { type Clock, within } from '../base/clock.ts'
import type { Json, Row } from '../base/json.ts'
import type { Logger } from '../base/logger.ts'
import type { Position, Stamp, Stamped } from '../base/stamp.ts'
import { Throttle } from '../base/throttle.ts'
import { type Attempt, Cache, type CacheCounters, type SingleFlight } from '../cache/cache.ts'
import type { Entity, Lookup } from '../entities/define.ts'
import type { Change, LogEvent } from '../event-log/event.ts'
import type { Subscriber } from '../event-log/event-log.ts'
import { readAll, type StampedReader } from '../store/store.ts'
import { type Cached, idOf, type Operation, operationsOf, perform } from './apply.ts'
import { Audience, type Changes, type Listener } from './audience.ts'
import { type Audited, Auditor, type AuditReport } from './audit.ts'
import { LoadOvertaken, LookupTimeout, NotAsked, Unknown } from './errors.ts'
import { type Applied, type FilterCounts, type FilterOptions, FilterProjection } from './filter-projection.ts'
import { type Holder, Holdings } from './holdings.ts'
import { cacheKey, canExist, isUnder, type KeyValues } from './keys.ts'
import { parsePluginKey, viewOfPlugins } from './kong-keys.ts'
import { LoadReport } from './load-report.ts'
import type { Patch } from './patches.ts'
import { RowProof } from './row-proof.ts'
import { hurryGapMs } from './waiting-list.ts'

/** Who follows the log, as far as the catalog must speak to it; node joins the two. */
export interface Progress {
  /** Resolves once everything up to `position` was applied; hurries the log along. */
  reach(position: Position): Promise<void>
  /**
   * The primary, asked when `sent` was applied, answered the head `answered`. One that is ahead is to be pulled, and
   * its digest compared when it is applied: `reach` must not resolve, and `load` be called, if it differs.
   */
  observe(sent: Stamp, answered: Stamp): void
  /** Another history was seen, and all was deleted: `load` must be called. */
  reset(reason: string): void
}

export interface AgentCatalogOptions {
  /** All that this node knows, those of plugins too. */
  readonly entities: readonly Entity[]
  /** The one whose whole table every worker has: apis. */
  readonly projected: Entity
  readonly store: StampedReader
  readonly progress: Progress
  /**
   * Whether the datastore is known not to answer. Then nothing is asked of it: lookups are unknown at once, and purged
   * entries stand in at once, instead of each waiting for a time-out of its own.
   */
  readonly isAway: () => boolean
  readonly clock: Clock
  readonly logger: Logger
  /** For answering without a read that a key has no row. Without it each such key is read once. */
  readonly filter?: Pick<FilterOptions, 'keysMax' | 'pageRows' | 'random'> | undefined
  /** Estimated bytes of entries; see `Cache`. */
  readonly maxBytes: number
  /** A lookup that takes longer, all told, is unknown. Default 10,000: above the store's own limits. */
  readonly lookupMs?: number
  /** Reads of the datastore at once. Default 64: more than the pool has connections, so that these never idle. */
  readonly flightsMax?: number
  /** Lookups that wait at once. Default 20,000. */
  readonly waitersMax?: number
  /** Rows that are handed to a worker at once; see `Audience`. */
  readonly partRows?: number | undefined
}

/** What a lookup found. */
export interface Found {
  /** A row, a list of rows, or null: there is none. */
  readonly value: Cached | null
  /** The log as of which that is right, at most what is applied here. */
  readonly position: Position
  /** A purged entry, served because the datastore is away. */
  readonly standIn: boolean
}

interface Query {
  readonly entity: Entity
  readonly lookup: Lookup
  readonly values: KeyValues
}

/** Joins this close together purge once more at its end. */
const purgeFoldMs = 1000

export class AgentCatalog implements Subscriber {
  readonly #options: AgentCatalogOptions
  #entities: ReadonlyMap<string, Entity>
  readonly #cache: Cache<Cached>
  readonly #flights: SingleFlight<Cached, Query>
  readonly #logger: Logger
  readonly #lookupMs: number
  #rows = new Map<string, Row>()
  #applied: Stamp = { position: 0, digest: '' }
  /** Pending from a reset until its load; reads of the datastore wait for it. */
  #loaded = deferred()
  #isLoaded = false
  /** Resets so far: what was read before one says nothing after it. */
  #histories = 0
  /** Called at a reset: those who wait for a position of the history that is left. */
  readonly #reaching = new Set<() => void>()
  readonly #purges: Throttle
  readonly #hurries: Throttle
  /** The highest position that somebody waits for since the log was last hurried along. */
  #hurryTo: Position = 0
  /** Those under way. */
  readonly #proofs = new Set<RowProof>()
  readonly #audience: Audience
  readonly #filter: FilterProjection | undefined
  readonly #holder: Holder
  readonly #auditor: Auditor

  constructor(options: AgentCatalogOptions) {
    this.#options = options
    this.#entities = byName(options.entities)
    this.#logger = options.logger.scope('catalog')
    this.#lookupMs = options.lookupMs ?? 10_000
    this.#purges = new Throttle(options.clock, purgeFoldMs, () => {
      this.purgeAll()
      void this.#proveProjection()
    })
    this.#hurries = new Throttle(options.clock, hurryGapMs, () => this.#hurry())
    this.#cache = new Cache({ maxBytes: options.maxBytes })
    this.#flights = this.#cache.flights({
      position: () => (this.#isLoaded ? this.#applied.position : 0),
      send: (attempt) => void this.#read(attempt),
      flightsMax: options.flightsMax ?? 64,
      waitersMax: options.waitersMax ?? 20_000,
    })
    this.#filter = options.filter && this.#makeFilter(options.filter)
    this.#audience = new Audience(
      {
        position: () => this.#applied.position,
        rows: () => this.#rows.values(),
        filter: () => this.#filter?.shared,
      },
      options.clock,
      options.partRows,
    )
    const holdings = new Holdings(this.#cache, () => this.#rows)
    this.#holder = {
      page: async (kind, anew) => holdings.page(kind, anew),
      inspect: async (kind, keys) => holdings.inspect(kind, keys),
    }
    this.#auditor = new Auditor(this.#audited())
  }

  /** Up to which event everything served here is right. */
  get applied(): Stamp {
    return this.#applied
  }

  get counters(): CacheCounters {
    return this.#cache.counters
  }

  /** The filter that says which keys have no row. */
  get filter(): FilterCounts {
    return this.#filter?.counts ?? { inUse: false, keys: 0, bytes: 0 }
  }

  /** Reads nothing more by itself. What is known is answered still, for requests that are open. */
  stop(): void {
    this.#filter?.stop()
  }

  /** All rows of the projected entity as of `applied`; a row is the same object until it changes. */
  rows(entity: Entity): readonly Row[] {
    if (entity.name !== this.#options.projected.name) throw new TypeError(`${entity.name} has no projection`)
    return [...this.#rows.values()]
  }

  /**
   * Knows these entities too, from the next event and lookup on. Those known before stay: a worker may still ask for
   * them, and their entries are to be kept right.
   */
  learn(entities: readonly Entity[]): void {
    const others = [...this.#entities.values()].filter(({ name }) => !entities.some((e) => e.name === name))
    this.#entities = byName([...others, ...entities])
    if (this.#isLoaded) this.#filter?.renew(this.#entities.values())
  }

  /** The name of the first that is known here by other lookups: rows cached under those would not be dropped any more. */
  differing(entities: readonly Entity[]): string | undefined {
    return entities.find(({ name, lookups }) => {
      const known = this.#entities.get(name)
      return known && !isDeepStrictEqual(known.lookups, lookups)
    })?.name
  }

  /** Subscribes to changes; see `Audience.join`. Returns the call that ends it. */
  attach(listener: Listener): () => void {
    return this.#audience.join(listener)
  }

  /** The entity of that name, and its lookup of that number; undefined when this node has none. */
  lookupOf(name: string, index: number): { entity: Entity; lookup: Lookup } | undefined {
    const entity = this.#entities.get(name)
    const lookup = entity?.lookups[index]
    return entity && lookup && { entity, lookup }
  }

  /**
   * What the datastore holds under a key, from memory or by one read however many ask.
   * @param isWaiting  whether the caller still wants it
   * @throws {Unknown} when it can't be told, with the reason as cause
   */
  async find(
    entity: Entity,
    lookup: Lookup,
    values: KeyValues,
    isWaiting: () => boolean = () => true,
  ): Promise<Found> {
    const { position } = this.#applied
    if (!canExist(values)) return { value: lookup.many ? [] : null, position, standIn: false }
    const key = cacheKey(lookup, values)
    const entry = this.#cache.get(key)
    if (entry && entry.position <= position) return { value: entry.value, position, standIn: false }
    if (this.#filter?.filter?.isAbsent(lookup, values)) {
      this.#cache.countAbsence()
      return { value: null, position, standIn: false }
    }
    let open = true
    try {
      const load = this.#load(key, { entity, lookup, values }, () => open && isWaiting())
      return await within(this.#options.clock, this.#lookupMs, load, () => new LookupTimeout(this.#lookupMs))
    } catch (cause) {
      this.#logger.debug('lookup failed', { family: lookup.prefix, error: cause })
      const purged = cause instanceof LookupTimeout && this.#cache.peekPurged(key)
      if (purged) {
        return {
          value: purged.value,
          position: Math.max(purged.position, this.#applied.position),
          standIn: true,
        }
      }
      throw new Unknown(key, cause)
    } finally {
      open = false
    }
  }

  /** What is cached under `key`, as GET /cache shows it, 0.8's spelling of plugins included; else undefined. */
  read(key: string): Json | undefined {
    const plugin = parsePluginKey(key)
    const value = this.#cache.peek(plugin?.key ?? key)?.value
    if (!plugin) return value ?? undefined
    return value == null ? undefined : viewOfPlugins(value as readonly Row[], plugin)
  }

  /** Drops one entry here and in every worker. */
  dropKey(key: string): void {
    this.#drop(parsePluginKey(key)?.key ?? key)
  }

  /**
   * Holds all entries and projected rows, of this node and of its workers, against the datastore, and repairs those
   * that are wrong: entries are dropped, rows replaced. Purged entries are left out, since they count as absent; so is
   * what is read while the audit runs. One audit runs at a time; who asks meanwhile has the same report.
   *
   * Takes a statement for every 200 keys, one after the other, and about 160 bytes of memory for each key.
   *
   * @param limitMs  how long to wait for it
   * @throws {AuditTimeout}; {DatastoreAway}, {NotAsked} or {DatastoreError} when the datastore can't be asked, {NotReached}
   *   when its log can't be followed. What was found wrong by then is repaired, and nothing else is touched
   */
  audit(limitMs: number): Promise<AuditReport> {
    return this.#auditor.audit(limitMs)
  }

  /** Entries count as absent until they are read again at `position` or later, the one of a join's event. */
  purge(position: Position): void {
    this.#cache.purge(position)
    if (this.#isLoaded) this.#filter?.renew(this.#entities.values())
    for (const listener of this.#audience.told) listener.purge(position)
  }

  purgeAll(): void {
    this.purge(this.#applied.position)
  }

  /**
   * A node has joined: entries count as absent until they are read again, and the projected rows are read again behind
   * the ones that are served. Joins that come within a second of the last purge have one together, at its end.
   */
  proveAnew(): void {
    this.#purges.call()
  }

  /**
   * Somebody waits for `position`: hurries the log along, and lets the changes that come of it be the answer. However
   * many ask, and for whatever position, the datastore is asked once in `hurryGapMs` at the most.
   */
  hurry(position: Position): void {
    if (position <= this.#applied.position) return
    this.#hurryTo = Math.max(this.#hurryTo, position)
    this.#hurries.call()
  }

  apply(events: readonly LogEvent[]): void {
    const last = events.at(-1)
    if (!last) return
    const changes: readonly Applied[] = events.map(({ position, body }) => ({
      position,
      change: JSON.parse(body) as Change,
    }))
    const operations = changes.flatMap(({ position, change }) => this.#operationsOf(change, position))
    const patches = changes.flatMap(({ change }) => this.#patchesOf(change))

    this.#applied = { position: last.position, digest: last.digest }
    for (const operation of operations) perform(operation, this.#cache)
    this.#filter?.add(changes)
    this.#patch({ position: last.position, operations, patches })
    this.#filter?.remove(changes)

    for (const proof of this.#proofs) proof.apply(last.position, patches)
    // A follower loads instead of applying these; nothing cached may outlive one that comes here all the same.
    if (changes.some(({ change }) => change.operation === 'reset')) this.#distrust('reset')
  }

  async load(reason: string): Promise<Stamp> {
    this.#logger.info('catalog loads', { reason })
    this.#forget()
    const loaded = this.#loaded
    const histories = this.#histories
    const { store, projected, clock } = this.#options
    const rows = new Map<string, Row>()
    const report = new LoadReport(clock, this.#logger, `${projected.name} are loading`)
    this.#audience.begin()
    try {
      const { stamp } = await store.scan(projected, (part) => {
        if (histories !== this.#histories) return
        for (const row of part) rows.set(idOf(row), row)
        this.#audience.load(part)
        report.tell(rows.size)
      })
      if (histories !== this.#histories) throw new LoadOvertaken()
      this.#rows = rows
      this.#applied = stamp
      this.#isLoaded = true
      this.#cache.floors.raiseAll(stamp.position)
      this.#audience.loaded()
      loaded.resolve()
      this.#filter?.renew(this.#entities.values())
      return stamp
    } catch (error) {
      loaded.reject(error)
      throw error
    }
  }

  #hurry(): void {
    const position = this.#hurryTo
    this.#hurryTo = 0
    // A position that nothing has yet is not reached in time: whoever waits for it sees that by himself.
    this.#options.progress.reach(position).catch(() => undefined)
  }

  /**
   * Reads the projected table again, while the rows that are held go on being served, and replaces those that are
   * not what was read. There are none, unless something is broken that a join's purge is there to mend. Rows of another
   * history mend nothing: all is loaded anew.
   */
  async #proveProjection(): Promise<void> {
    // A load that is under way began after the join, and what is read here may be older than what it brings.
    if (!this.#isLoaded) return
    const { store, projected, progress, clock } = this.#options
    const histories = this.#histories
    const proof = new RowProof(() => this.#rows)
    this.#proofs.add(proof)
    try {
      const { stamp } = await this.#judged(() => store.scan(projected, (rows) => proof.read(rows)))
      if (stamp.position > this.#applied.position) await progress.reach(stamp.position)
      if (histories !== this.#histories) return
      const unread = await proof.unread(() => clock.sleep(0))
      if (histories !== this.#histories) return
      const patches = proof.differences(stamp.position, unread)
      if (patches.length === 0) return
      this.#logger.error('rows that were served are not those of the datastore', { rows: patches.length })
      this.#patch({ position: this.#applied.position, operations: [], patches })
    } catch (error) {
      this.#logger.warn('the projected rows could not be read again', { error })
    } finally {
      this.#proofs.delete(proof)
    }
  }

  #patch(changes: Changes): void {
    for (const { id, row } of changes.patches) {
      if (row) this.#rows.set(id, row)
      else this.#rows.delete(id)
    }
    this.#audience.change(changes)
  }

  #makeFilter(options: NonNullable<AgentCatalogOptions['filter']>): FilterProjection {
    const { clock, store } = this.#options
    const filter: FilterProjection = new FilterProjection({
      ...options,
      read: (entity, page) => this.#readApplied(() => store.page(entity, page)),
      changed: () => {
        for (const listener of this.#audience.told) listener.filter?.(filter.shared)
      },
      clock,
      logger: this.#logger,
    })
    return filter
  }

  #drop(key: string): void {
    this.#cache.forget(key)
    for (const listener of this.#audience.told) listener.forget(key)
  }

  #audited(): Audited {
    const { store, projected, clock } = this.#options
    return {
      clock,
      logger: this.#logger,
      projected,
      loaded: () => this.#whenLoaded(),
      history: () => (this.#isLoaded ? this.#histories : undefined),
      applied: () => this.#applied,
      lookupOf: (family) => this.#lookupOfFamily(family),
      holders: () => [this.#holder, ...this.#audience.told.flatMap(({ holder }) => holder ?? [])],
      scan: async () => (await this.#readApplied(() => readAll(store, projected))).value,
      findMany: async (...query) => (await this.#readApplied(() => store.findMany(...query))).value,
      watch: (told) => this.attach({ seed() {}, change: told, purge() {}, forget() {} }),
      drop: (key) => this.#drop(key),
      patch: (patches) => this.#patch({ position: this.#applied.position, operations: [], patches }),
    }
  }

  /** Deletes what may be of another history. Workers keep serving until the load gives them a new seed. */
  #forget(): void {
    this.#histories++
    for (const leave of this.#reaching) leave()
    this.#isLoaded = false
    // All is read anew, which proves more than a purge.
    this.#purges.cancel()
    this.#loaded.reject(new Error('superseded by another load'))
    this.#loaded = deferred()
    this.#cache.reset()
    this.#audience.interrupt()
    this.#filter?.withdraw()
    this.#flights.restart()
  }

  #distrust(reason: string): void {
    this.#logger.warn('another history was seen', { reason, position: this.#applied.position })
    this.#forget()
    this.#options.progress.reset(reason)
  }

  #lookupOfFamily(family: string): { entity: Entity; lookup: Lookup } | undefined {
    for (const entity of this.#entities.values()) {
      const lookup = entity.lookups.find(({ prefix }) => prefix === family)
      if (lookup) return { entity, lookup }
    }
    return undefined
  }

  #operationsOf(change: Change, position: Position): readonly Operation[] {
    const entity = this.#entities.get(change.entity)
    // Of an entity that this node doesn't know, nothing can have been asked.
    return entity ? operationsOf(change, position, entity) : []
  }

  #patchesOf(change: Change): Patch[] {
    if (change.entity !== this.#options.projected.name) return []
    // An image of a newer schema is patched in too: the table holds nothing else, so a scan would say the same.
    if (change.new) return [{ id: idOf(change.new), row: change.new }]
    return change.old ? [{ id: idOf(change.old), row: null }] : []
  }

  /** Hands a value out only once the log is where the value was read, so that no worker sees two positions at once. */
  async #load(key: string, query: Query, isWaiting: () => boolean): Promise<Found> {
    while (isWaiting()) {
      const histories = this.#histories
      const found = await this.#landed(key, query, isWaiting)
      if (found.position > this.#applied.position) await this.#reach(found.position, histories)
      if (histories === this.#histories) return found
    }
    throw new LookupTimeout(this.#lookupMs)
  }

  async #landed(key: string, query: Query, isWaiting: () => boolean): Promise<Found> {
    const entry = this.#cache.peek(key)
    if (!entry) return await this.#flights.join(key, query, isWaiting)
    return { value: entry.value, position: Math.max(entry.position, this.#applied.position), standIn: false }
  }

  async #read(attempt: Attempt<Cached, Query>): Promise<void> {
    try {
      await this.#loaded.promise
      if (this.#options.isAway()) throw new NotAsked()
      const read = (attempt.round === 0 && (await this.#readReplica(attempt.query))) || null
      const { value: rows, stamp } = read ?? (await this.#readPrimary(attempt.query))
      attempt.land(this.#valueOf(attempt.key, attempt.query.lookup, rows), stamp.position)
    } catch (error) {
      attempt.fail(error)
    }
  }

  /**
   * What a replica knows, if it is no older than this node and no newer: of what is ahead only the primary can be
   * trusted to be of our history.
   */
  async #readReplica({ entity, lookup, values }: Query): Promise<Stamped<readonly Row[]> | undefined> {
    const sent = this.#applied
    const read = await this.#options.store.find(entity, lookup, values, 'replica')
    const usable =
      read.stamp.position >= sent.position &&
      read.stamp.position <= this.#applied.position &&
      !this.#contradicts(read.stamp, sent)
    return usable ? read : undefined
  }

  #readPrimary({ entity, lookup, values }: Query): Promise<Stamped<readonly Row[]>> {
    return this.#judged(() => this.#options.store.find(entity, lookup, values, 'primary'))
  }

  /** Makes a read of the primary, and looks at what its head says of our history. */
  async #judged<T>(read: () => Promise<Stamped<T>>): Promise<Stamped<T>> {
    const sent = this.#applied
    const histories = this.#histories
    const answer = await read()
    // After a reset it answers nobody any more: what was read for is started anew.
    if (histories !== this.#histories) return answer
    if (this.#contradicts(answer.stamp, sent)) this.#distrust('other-history')
    else this.#options.progress.observe(sent, answer.stamp)
    return answer
  }

  /** What a read of the primary found, once its stamp is applied here. */
  async #readApplied<T>(read: () => Promise<Stamped<T>>): Promise<Stamped<T>> {
    if (this.#options.isAway()) throw new NotAsked()
    const histories = this.#histories
    const found = await this.#judged(read)
    const { position } = found.stamp
    if (position > this.#applied.position) await this.#reach(position, histories)
    return found
  }

  /** Resolves once `position` is applied, or its history is left: it may never be reached then. */
  async #reach(position: Position, histories: number): Promise<void> {
    if (histories !== this.#histories) return
    const { promise: left, resolve: leave } = Promise.withResolvers<void>()
    this.#reaching.add(leave)
    try {
      await Promise.race([this.#options.progress.reach(position), left])
    } finally {
      this.#reaching.delete(leave)
    }
  }

  async #whenLoaded(): Promise<void> {
    while (!this.#isLoaded) {
      const loaded = this.#loaded
      await loaded.promise.catch((error) => {
        // Another load has taken its place, and is waited for instead.
        if (loaded === this.#loaded) throw error
      })
    }
  }

  /** A head that is lower than what was applied before it was asked for, or another at the same position. */
  #contradicts(head: Stamp, sent: Stamp): boolean {
    const known = [sent, this.#applied].find(({ position }) => position === head.position)
    return head.position < sent.position || (known !== undefined && known.digest !== head.digest)
  }

  /** Rows that spell another key than was asked for are left out: no event would ever name this one for them. */
  #valueOf(key: string, lookup: Lookup, rows: readonly Row[]): Cached | null {
    const own = rows.filter((row) => isUnder(key, lookup, row))
    if (lookup.many) return own
    if (own.length > 1)
      throw new TypeError(`${lookup.prefix}: ${own.length} rows have one key, which must be unique`)
    return own[0] ?? null
  }
}

/** Checks what makes keys ambiguous: two lookups of one prefix would share entries that mean different rows. */
function byName(entities: readonly Entity[]): ReadonlyMap<string, Entity> {
  const owners = new Map<string, string>()
  for (const entity of entities) {
    for (const { prefix } of entity.lookups) {
      if (prefix.includes(':')) throw new TypeError(`the cache key prefix ${prefix} has a colon`)
      const owner = owners.get(prefix)
      if (owner)
        throw new TypeError(`the cache key prefix ${prefix} is used by ${owner} and by ${entity.name}`)
      owners.set(prefix, entity.name)
    }
  }
  return new Map(entities.map((entity) => [entity.name, entity]))
}

interface Deferred {
  readonly promise: Promise<void>
  resolve(): void
  reject(error: unknown): void
}

/** Its rejection is told to whoever awaits it, and to nobody when no one does. */
function deferred(): Deferred {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  promise.catch(() => undefined)
  return { promise, resolve, reject }
}
