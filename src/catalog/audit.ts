// Holds all that a node serves from against the datastore: its entries, its projected rows, and those of its workers.
// What is wrong is repaired and reported. There is nothing wrong, unless something is broken.
import { type Clock, within } from '../base/clock.ts'
import type { Row } from '../base/json.ts'
import type { Logger } from '../base/logger.ts'
import type { Position, Stamp } from '../base/stamp.ts'
import type { Entity, Lookup } from '../entities/define.ts'
import { byCreation, type Cached, idOf, type Operation } from './apply.ts'
import { AuditTimeout } from './errors.ts'
import { type Holder, type Kind, valueHash } from './holdings.ts'
import { familyOf, isEverywhere, type KeyValues, keyOfRow, parseKey } from './keys.ts'
import { Ledger } from './ledger.ts'
import type { Patch } from './patches.ts'

/** What an audit found. Plain JSON. */
export interface AuditReport {
  /** What this node had applied when the audit ended: all that the report says of the datastore is as of then. */
  readonly position: Position
  /** Of the log at `position`. */
  readonly digest: string
  readonly checked: {
    /** In the node's own cache. */
    readonly entries: number
    /** In the caches of its workers, all together. */
    readonly workerEntries: number
    /** Of the projected table, each on the node and in every worker. */
    readonly rows: number
  }
  /** Keys that were changed each time they were looked at, or that no lookup of this node asks for. */
  readonly unsettled: number
  /** What was not what the datastore holds, by place and family. */
  readonly wrong: readonly Finding[]
  /** How much of `wrong` was gone, or right, when it was looked at again. */
  readonly repaired: number
  /**
   * By family, a digest of what the *datastore* holds under the keys that were checked; see `Ledger.digests`. Two nodes
   * that checked the same keys at one position have the same.
   */
  readonly digests: Readonly<Record<string, string>>
}

export interface Finding {
  /** `node`, or `worker <i>`: from 1, in the order in which the workers were started. */
  readonly where: string
  /** First part of the keys, e.g. `keyauth_credentials`, or the name of the projected table. */
  readonly family: string
  readonly count: number
}

/** What an audit needs of the catalog. */
export interface Audited {
  readonly clock: Clock
  readonly logger: Logger
  /** The one whose whole table every thread has. */
  readonly projected: Entity
  /** Resolves once everything is loaded. Rejects if that fails. */
  loaded(): Promise<void>
  /** Another number after each load; undefined while one is under way. */
  history(): number | undefined
  applied(): Stamp
  lookupOf(family: string): { readonly entity: Entity; readonly lookup: Lookup } | undefined
  /** The node first, then its workers as they are now, in the order in which they came. */
  holders(): readonly Holder[]
  /** All rows of the projected table, from the primary, once this node has applied what they were read at. */
  scan(): Promise<readonly Row[]>
  /** Likewise the rows under some keys. */
  findMany(entity: Entity, lookup: Lookup, keys: readonly KeyValues[]): Promise<readonly Row[]>
  /** Calls `told` with each transaction and each repair, in the tick in which it is applied, until the answer is called. */
  watch(told: (changes: Touching) => void): () => void
  /** Drops an entry here and in every worker. */
  drop(key: string): void
  /** Changes projected rows here and in every worker. */
  patch(patches: readonly Patch[]): void
}

/** The part of `Changes` that says which keys they touch. */
export interface Touching {
  readonly operations: readonly Operation[]
  readonly patches: readonly Patch[]
}

interface Batch {
  readonly kind: Kind
  readonly family: string
  readonly entity: Entity
  readonly lookup: Lookup
  /** What each key asks for. */
  readonly queries: ReadonlyMap<string, KeyValues>
}

/** What one thread holds of a batch, by key. */
interface Place {
  readonly where: string
  /** Hashes of values. */
  readonly held: ReadonlyMap<string, string>
}

interface Wrong {
  readonly family: string
  readonly where: Set<string>
  /** As of the last look at it. */
  isRepaired: boolean
}

interface Running {
  readonly report: Promise<AuditReport>
  readonly abandoned: AbortController
  readonly compared: () => number
  callers: number
}

/** Keys compared at once: hashing them holds a thread up for a millisecond, and one statement asks for them all. */
const batchKeys = 200

/** Between batches, so that an audit takes what is left of a thread's time and of the datastore's. */
const pauseMs = 1

/**
 * How often what was changed meanwhile is looked at again. Each round takes as long as its keys are many, so each has
 * fewer than the one before; what is left after these changes all the time.
 */
const roundsMax = 8

const nodeItself = 'node'
const absence = valueHash(null)

/** Runs one audit at a time, for all who ask for one meanwhile. */
export class Auditor {
  readonly #audited: Audited
  #running: Running | undefined

  constructor(audited: Audited) {
    this.#audited = audited
  }

  /**
   * @param limitMs  how long this caller waits; the audit ends early when nobody does any more
   * @throws {AuditTimeout}; {DatastoreAway} or {DatastoreError}: what was not compared by then is as it was
   */
  async audit(limitMs: number): Promise<AuditReport> {
    this.#running ??= this.#start()
    const running = this.#running
    running.callers++
    try {
      const late = () => new AuditTimeout(limitMs, running.compared())
      return await within(this.#audited.clock, limitMs, running.report, late)
    } finally {
      if (--running.callers === 0) {
        running.abandoned.abort()
        if (this.#running === running) this.#running = undefined
      }
    }
  }

  #start(): Running {
    const abandoned = new AbortController()
    let audit: Audit | undefined
    const run = async (): Promise<AuditReport> => {
      // What was found in a history that is left says nothing about the next one.
      for (;;) {
        await this.#audited.loaded()
        abandoned.signal.throwIfAborted()
        audit = new Audit(this.#audited, abandoned.signal)
        const report = await audit.run()
        if (report) return report
      }
    }
    return { report: run(), abandoned, compared: () => audit?.compared ?? 0, callers: 0 }
  }
}

/**
 * One audit of one history. Of each batch of keys it is taken down first what every thread holds, all at one place in
 * the stream of changes. Only then the datastore is asked, so its answer is no older than anything that is held. If no
 * event has touched a key until this node has applied what the answer was read at, then every thread must hold what
 * the answer says; otherwise the key is looked at again. What is proven of a key stands until an event touches it, so
 * all that is proven when the audit ends is true at one position.
 */
class Audit {
  readonly #audited: Audited
  readonly #abandoned: AbortSignal
  readonly #history: number | undefined
  readonly #ledgers: Readonly<Record<Kind, Ledger>> = { rows: new Ledger(), entries: new Ledger() }
  readonly #wrong: Readonly<Record<Kind, Map<string, Wrong>>> = { rows: new Map(), entries: new Map() }
  readonly #names = new Map<Holder, string>()
  /** Keys that no lookup spells. */
  #foreign = 0

  constructor(audited: Audited, abandoned: AbortSignal) {
    this.#audited = audited
    this.#abandoned = abandoned
    this.#history = audited.history()
  }

  get compared(): number {
    return this.#ledgers.rows.proven.keys + this.#ledgers.entries.proven.keys
  }

  /** Undefined when another history began meanwhile. */
  async run(): Promise<AuditReport | undefined> {
    const unwatch = this.#audited.watch((changes) => this.#touch(changes))
    try {
      await this.#list()
      for (let round = 0; round < roundsMax && !this.#isDone(); round++) {
        for (const batch of this.#batches()) {
          await this.#pause()
          if (this.#isSuperseded()) return undefined
          await this.#compare(batch)
        }
      }
      return this.#isSuperseded() ? undefined : this.#report()
    } finally {
      unwatch()
    }
  }

  #touch({ operations, patches }: Touching): void {
    const { rows, entries } = this.#ledgers
    for (const { id } of patches) rows.touch(id)
    for (const operation of operations) {
      if ('prefix' in operation) entries.touchAll(operation.prefix)
      else entries.touch(operation.key)
    }
  }

  /** Takes down which keys there are to compare, those of rows that no thread has included. */
  async #list(): Promise<void> {
    for (const row of await this.#audited.scan()) this.#ledgers.rows.add(idOf(row))
    for (const holder of this.#audited.holders()) {
      for (const kind of ['rows', 'entries'] as const) await this.#listHeld(holder, kind)
    }
  }

  async #listHeld(holder: Holder, kind: Kind): Promise<void> {
    for (let anew = true; ; anew = false) {
      const keys = (await holder.page(kind, anew)) ?? []
      if (keys.length === 0) return
      for (const key of keys) this.#ledgers[kind].add(key)
      await this.#pause()
    }
  }

  /** All that is to be compared, made bit by bit. */
  *#batches(): Generator<Batch> {
    const { projected } = this.#audited
    const byId = { prefix: projected.name, by: ['id'] }
    for (const { family, keys } of batchesOf(this.#ledgers.rows.take(), () => projected.name)) {
      const queries = new Map(keys.map((id) => [id, [id]]))
      yield { kind: 'rows', family, entity: projected, lookup: byId, queries }
    }
    for (const { family, keys } of batchesOf(this.#ledgers.entries.take(), familyOf)) {
      const known = this.#audited.lookupOf(family)
      const queries = known ? queriesOf(known.lookup, keys) : new Map<string, KeyValues>()
      this.#foreign += keys.length - queries.size
      if (known) yield { kind: 'entries', family, ...known, queries }
    }
  }

  async #compare(batch: Batch): Promise<void> {
    const { kind, entity, lookup, queries } = batch
    const ledger = this.#ledgers[kind]
    ledger.open(queries.keys())
    const places = await this.#inspect(kind, ledger.opened)
    if (kind === 'entries') this.#leaveUnheld(places)
    const keys = ledger.opened
    if (keys.length === 0) return
    const asked = keys.map((key) => queries.get(key) as KeyValues)
    const rows = await this.#audited.findMany(entity, lookup, asked)
    if (!this.#isSuperseded()) this.#judge(batch, places, rows)
  }

  /** All are asked in this tick, so all answer as of one place in the stream of changes. */
  async #inspect(kind: Kind, keys: readonly string[]): Promise<readonly Place[]> {
    const places = this.#audited.holders().map(async (holder) => {
      const where = this.#nameOf(holder)
      const held = await holder.inspect(kind, keys)
      return held && { where, held: new Map(held.map(({ key, hash }) => [key, hash])) }
    })
    return (await Promise.all(places)).filter((place) => place !== undefined)
  }

  /** What was dropped or evicted since it was listed need not be asked for. */
  #leaveUnheld(places: readonly Place[]): void {
    const { entries } = this.#ledgers
    for (const key of entries.opened) {
      if (places.some(({ held }) => held.has(key))) continue
      entries.close(key)
      this.#record('entries', key, familyOf(key), [])
    }
  }

  #judge(batch: Batch, places: readonly Place[], rows: readonly Row[]): void {
    const { kind, family } = batch
    const ledger = this.#ledgers[kind]
    const values = valuesOf(batch, rows)
    const wrong = new Map<string, readonly Place[]>()
    for (const key of ledger.opened) {
      // An entry can be absent without being wrong, a row can't.
      const holding = places.filter(({ held }) => kind === 'rows' || held.has(key))
      const hash = valueHash(values.get(key) ?? nothingOf(batch))
      const others = holding.filter(({ held }) => (held.get(key) ?? absence) !== hash)
      const onNode = holding.filter(({ where }) => where === nodeItself).length
      ledger.prove(key, { family, hash, onNode, inWorkers: holding.length - onNode })
      this.#record(kind, key, family, others)
      if (others.length > 0) wrong.set(key, others)
    }
    if (wrong.size === 0) return
    this.#log(family, [...wrong.values()].flat())
    this.#repair(kind, [...wrong.keys()], values)
  }

  /** At once: whoever waits for the report may leave before it is made. */
  #log(family: string, found: readonly Place[]): void {
    for (const [where, { length: count }] of Map.groupBy(found, (place) => place.where)) {
      const finding: Finding = { where, family, count }
      this.#audited.logger.error('what was served is not what the datastore holds', { ...finding })
    }
  }

  /** And looks at them again. */
  #repair(kind: Kind, keys: readonly string[], values: ReadonlyMap<string, Cached>): void {
    if (kind === 'entries') for (const key of keys) this.#audited.drop(key)
    else this.#audited.patch(keys.map((id) => ({ id, row: (values.get(id) ?? null) as Row | null })))
    for (const key of keys) this.#ledgers[kind].add(key)
  }

  /** @param others  where something else was found than the datastore holds, at the last look at this key */
  #record(kind: Kind, key: string, family: string, others: readonly Place[]): void {
    const known = this.#wrong[kind].get(key)
    if (known) known.isRepaired = others.length === 0
    else if (others.length === 0) return
    const wrong = known ?? { family, where: new Set(), isRepaired: false }
    for (const { where } of others) wrong.where.add(where)
    this.#wrong[kind].set(key, wrong)
  }

  #report(): AuditReport {
    const { rows, entries } = this.#ledgers
    const { position, digest } = this.#audited.applied()
    const { onNode, inWorkers } = entries.proven
    return {
      position,
      digest,
      checked: { entries: onNode, workerEntries: inWorkers, rows: rows.proven.keys },
      unsettled: rows.unsettled + entries.unsettled + this.#foreign,
      wrong: this.#findings(),
      repaired: this.#allWrong().reduce(
        (sum, { where, isRepaired }) => sum + (isRepaired ? where.size : 0),
        0,
      ),
      digests: { ...rows.digests, ...entries.digests },
    }
  }

  #findings(): Finding[] {
    const found = this.#allWrong().flatMap(({ family, where }) =>
      [...where].map((one) => ({ where: one, family })),
    )
    const alike = Map.groupBy(found, ({ where, family }) => `${where} ${family}`)
    return [...alike.values()].flatMap(([one, ...more]) => (one ? [{ ...one, count: 1 + more.length }] : []))
  }

  #allWrong(): readonly Wrong[] {
    return [...this.#wrong.rows.values(), ...this.#wrong.entries.values()]
  }

  #isDone(): boolean {
    return this.#ledgers.rows.isDone && this.#ledgers.entries.isDone
  }

  #isSuperseded(): boolean {
    return this.#history === undefined || this.#history !== this.#audited.history()
  }

  async #pause(): Promise<void> {
    await this.#audited.clock.sleep(pauseMs)
    this.#abandoned.throwIfAborted()
  }

  #nameOf(holder: Holder): string {
    const { size } = this.#names
    const name = this.#names.get(holder) ?? (size === 0 ? nodeItself : `worker ${size}`)
    this.#names.set(holder, name)
    return name
  }
}

/** Cut into batches of one family each. */
function* batchesOf(all: readonly string[], familyOfKey: (key: string) => string) {
  const begun = new Map<string, string[]>()
  for (const key of all) {
    const family = familyOfKey(key)
    const keys = begun.get(family) ?? []
    begun.set(family, keys)
    keys.push(key)
    if (keys.length < batchKeys) continue
    begun.delete(family)
    yield { family, keys }
  }
  for (const [family, keys] of begun) yield { family, keys }
}

function queriesOf(lookup: Lookup, keys: readonly string[]): Map<string, KeyValues> {
  const queries = new Map<string, KeyValues>()
  for (const key of keys) {
    const values = parseKey(lookup, key)
    if (values) queries.set(key, values)
  }
  return queries
}

/** What must be held under each key of a batch, from the rows that were read for it. */
function valuesOf({ kind, lookup, queries }: Batch, rows: readonly Row[]): ReadonlyMap<string, Cached> {
  const everywhere = kind === 'rows' ? [] : rows.filter((row) => isEverywhere(lookup, row))
  const own = everywhere.length === 0 ? rows : rows.filter((row) => !isEverywhere(lookup, row))
  const groups = Map.groupBy(own, (row) => (kind === 'rows' ? idOf(row) : keyOfRow(lookup, row)))
  for (const key of everywhere.length === 0 ? [] : queries.keys()) {
    groups.set(key, [...(groups.get(key) ?? []), ...everywhere].sort(byCreation))
  }
  // Several rows where there must be one are kept as a list: nothing that is held is equal to it.
  const cachedAs = (group: readonly Row[]) => (lookup.many || group.length > 1 ? group : (group[0] as Row))
  return new Map([...groups].map(([key, group]) => [key, cachedAs(group)]))
}

function nothingOf({ lookup }: Batch): Cached | null {
  return lookup.many ? [] : null
}
