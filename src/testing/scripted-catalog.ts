// A catalog over plain rows whose answers can be held back, so that a test decides what changes while a request
// waits. It keeps every promise of catalog.ts: the same objects while unchanged, and views that notice changes.
import { isDeepStrictEqual } from 'node:util'
import type { Row } from '../base/json.ts'
import type { Catalog, Entity, Lookup, Projection, View } from '../catalog/catalog.ts'
import { Unknown } from '../catalog/errors.ts'
import { cacheKey } from '../catalog/keys.ts'

export class ScriptedCatalog implements Catalog {
  /** Called before each answer; what it returns is waited for. Throw to make the lookup fail. */
  onLookup: (key: string) => void | Promise<void> = () => {}
  readonly #rows = new Map<string, Row[]>()
  readonly #answers = new Map<string, readonly Row[]>()
  readonly #projection: Projection
  readonly #waiters = new Set<{ readonly position: number; readonly resolve: () => void }>()
  #position = 1

  constructor(projection: Projection) {
    this.#projection = projection
  }

  position(): number {
    return this.#position
  }

  /** Positions that somebody waits for now. */
  get waitedFor(): number[] {
    return [...this.#waiters].map(({ position }) => position)
  }

  async reach(position: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const waiter = { position, resolve }
    this.#waiters.add(waiter)
    signal.addEventListener('abort', () => resolve())
    if (!signal.aborted) await promise
    this.#waiters.delete(waiter)
  }

  /** Another history, with the same rows. */
  rewind(position: number): void {
    this.#position = position
  }

  /** Writes `row`, by its id. */
  put(entity: string, row: Row): void {
    const rows = this.#rowsOf(entity)
    const i = rows.findIndex(({ id }) => id === row.id)
    const old = rows[i] ?? null
    if (old) rows[i] = row
    else rows.push(row)
    this.#moved(entity, old, row)
  }

  /** Deletes the rows of which `where` holds. */
  remove(entity: string, where: (row: Row) => boolean): void {
    for (const row of [...this.#rowsOf(entity)].filter(where)) {
      this.#rowsOf(entity).splice(this.#rowsOf(entity).indexOf(row), 1)
      this.#moved(entity, row, null)
    }
  }

  /** All lookups are unknown until the function that is returned is called. */
  away(): () => void {
    const before = this.onLookup
    this.onLookup = (key) => {
      throw new Unknown(key)
    }
    return () => {
      this.onLookup = before
    }
  }

  view(): View {
    const given: { query: Query; rows: readonly Row[] }[] = []
    const ask = (...[entity, lookup, ...values]: Parameters<View['many']>) => {
      const query = { entity, lookup, values }
      const answer = () => {
        const rows = this.#answer(query)
        given.push({ query, rows })
        return rows
      }
      const held = this.onLookup(cacheKey(lookup, values))
      return held ? held.then(answer) : answer()
    }
    return {
      position: this.#position,
      many: ask,
      one: (...query) => {
        const rows = ask(...query)
        return rows instanceof Promise ? rows.then((rows) => rows[0] ?? null) : (rows[0] ?? null)
      },
      holds: () => given.every(({ query, rows }) => this.#answer(query) === rows),
    }
  }

  #answer({ entity, lookup, values }: Query): readonly Row[] {
    const key = cacheKey(lookup, values)
    const rows = this.#rowsOf(entity.name).filter((row) =>
      [values, ...(lookup.everywhere ? [[]] : [])].some((values) =>
        lookup.by.every((column, i) => (row[column] ?? null) === (values[i] ?? null)),
      ),
    )
    const before = this.#answers.get(key)
    if (before && isDeepStrictEqual(before, rows)) return before
    this.#answers.set(key, rows)
    return rows
  }

  #rowsOf(entity: string): Row[] {
    const rows = this.#rows.get(entity) ?? []
    this.#rows.set(entity, rows)
    return rows
  }

  #moved(entity: string, old: Row | null, next: Row | null): void {
    this.#position++
    if (entity === 'apis') this.#projection.patch(old, next)
    for (const { position, resolve } of this.#waiters) if (position <= this.#position) resolve()
  }
}

interface Query {
  readonly entity: Entity
  readonly lookup: Lookup
  readonly values: readonly (string | null)[]
}
