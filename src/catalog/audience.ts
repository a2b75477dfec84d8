// Who is told of changes, each from its seed on. Whoever must have all rows gets them bit by bit before it, so that neither
// its thread nor the agent's stands still over a big table.
import type { Clock } from '../base/clock.ts'
import type { Row } from '../base/json.ts'
import type { Position } from '../base/stamp.ts'
import { Turns } from '../base/turns.ts'
import type { Operation } from './apply.ts'
import type { Holder } from './holdings.ts'
import type { SharedFilter } from './key-filter.ts'
import type { Patch } from './patches.ts'

/** One transaction, as entries and the projection see it. */
export interface Changes {
  /** Its newest event. */
  readonly position: Position
  readonly operations: readonly Operation[]
  readonly patches: readonly Patch[]
}

/** Some rows of the projected table. */
export interface Part {
  readonly rows: readonly Row[]
  /** Whether they are the first ones: what came before them is worth nothing. */
  readonly anew: boolean
}

export interface Seed {
  readonly position: Position
  /** What has changed of the rows that came as parts. */
  readonly patches: readonly Patch[]
}

/** Who is told of changes, each call in the tick in which it happened here. */
export interface Listener {
  /** Takes rows that the next seed is of. Until it comes, nothing is answered from them. */
  part?(part: Part): void
  /**
   * Forget everything and start from this, and from the parts that came since the last one that was `anew`. The first call
   * but for `part`, and again after every reset.
   */
  seed(seed: Seed): void
  change(changes: Changes): void
  /** All entries count as absent. */
  purge(position: Position): void
  /** One entry was dropped by hand, or was wrong. */
  forget(key: string): void
  /**
   * By this it can be told from now on which keys have no row; undefined: it can't. Told before the changes that it has
   * beyond the one before; a seed says the same as undefined.
   */
  filter?(filter: SharedFilter | undefined): void
  /** How what it holds can be looked at, if it holds something: a worker. */
  readonly holder?: Holder
}

/** What a seed is made of. */
export interface Known {
  position(): Position
  /** The projected table, kept up to date until `Audience.begin` is called. */
  rows(): Iterable<Row>
  filter(): SharedFilter | undefined
}

/**
 * Rows in one part. Copying them to another thread and putting them into its router takes a few milliseconds of it;
 * a tenth as many would take five times as long for all of a big table.
 */
const partRowsDefault = 200

/**
 * Parts that are copied before anything else is done: a quarter of a millisecond each. Fewer would make a node with many
 * workers wait long for its start.
 */
const partsAtOnce = 8

/** What one listener is given before its seed, while changes come. */
interface Introduction {
  /** In order. */
  readonly patches: Patch[]
}

export class Audience {
  readonly #known: Known
  readonly #clock: Clock
  readonly #partRows: number
  /** In the order in which they came. `waits`: for a load to be done. */
  readonly #members = new Map<Listener, 'told' | 'waits' | Introduction>()
  /** Those who were given all rows that the load under way has read so far. */
  #streamed = new Set<Listener>()
  #isLoaded = false
  /** However many workers start at once. */
  readonly #turns = new Turns(partsAtOnce)

  constructor(known: Known, clock: Clock, partRows = partRowsDefault) {
    this.#known = known
    this.#clock = clock
    this.#partRows = partRows
  }

  /** Those who have had a seed. */
  get told(): readonly Listener[] {
    return [...this.#members].flatMap(([listener, state]) => (state === 'told' ? listener : []))
  }

  /** Its seed comes at once if it takes no parts, or few; otherwise in a while. Returns the call that ends it. */
  join(listener: Listener): () => void {
    this.#members.set(listener, 'waits')
    if (this.#isLoaded) void this.#introduce(listener)
    return () => this.#members.delete(listener)
  }

  /** What is known is worth nothing: seeds come when it is loaded. Whoever has one has it until then. */
  interrupt(): void {
    this.#isLoaded = false
    this.#streamed = new Set()
    for (const [listener, state] of this.#members) if (state !== 'told') this.#members.set(listener, 'waits')
  }

  /** A load begins: its rows come by `load`. */
  begin(): void {
    this.#streamed = new Set([...this.#members.keys()].filter(({ part }) => part))
    this.#give([], true)
  }

  load(rows: readonly Row[]): void {
    this.#give(rows, false)
  }

  /** The load is done, and known. */
  loaded(): void {
    this.#isLoaded = true
    for (const listener of this.#members.keys()) {
      if (this.#streamed.has(listener)) this.#seed(listener, [])
      else void this.#introduce(listener)
    }
    this.#streamed = new Set()
  }

  change(changes: Changes): void {
    for (const [listener, state] of this.#members) {
      if (state === 'told') listener.change(changes)
      else if (state !== 'waits') state.patches.push(...changes.patches)
    }
  }

  #give(rows: readonly Row[], anew: boolean): void {
    for (const listener of this.#streamed) if (this.#members.has(listener)) listener.part?.({ rows, anew })
  }

  /** Gives it what is known, in the tick in which it came where that is little. */
  async #introduce(listener: Listener): Promise<void> {
    if (!listener.part) {
      this.#seed(listener, [])
      return
    }
    const introduction: Introduction = { patches: [] }
    this.#members.set(listener, introduction)
    listener.part({ rows: [], anew: true })
    // Rows that change while this goes on come as they are when it is their turn, and are patched once more at the end.
    const parts = inParts(this.#known.rows(), this.#partRows)
    for (let part = parts.next(); !part.done; ) {
      const rows = part.value
      part = parts.next()
      listener.part({ rows, anew: false })
      if (!part.done) await this.#turns.take(() => this.#clock.sleep(0))
      if (this.#members.get(listener) !== introduction) return
    }
    this.#seed(listener, introduction.patches)
  }

  #seed(listener: Listener, patches: readonly Patch[]): void {
    this.#members.set(listener, 'told')
    listener.seed({ position: this.#known.position(), patches })
    const filter = this.#known.filter()
    if (filter) listener.filter?.(filter)
  }
}

function* inParts(rows: Iterable<Row>, size: number): Generator<readonly Row[]> {
  let part: Row[] = []
  for (const row of rows) {
    part.push(row)
    if (part.length < size) continue
    yield part
    part = []
  }
  if (part.length > 0) yield part
}
