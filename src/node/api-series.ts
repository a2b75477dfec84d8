// Which APIs have series of their own in the metrics: the oldest, up to a bound. All others are shown together, and what
// was counted of one goes there when it is gone: a sum over all never falls.
import { sumOf } from '../base/counts.ts'
import type { Row } from '../base/json.ts'
import type { Changes, Listener } from '../catalog/audience.ts'
import { ApiCounts, ApiPlaces, countsAt } from '../proxy/api-counters.ts'
import { byAge } from '../proxy/segment-trie.ts'

/** An API with a place of its own. */
interface Held {
  readonly id: string
  readonly name: string
  /** What had been counted at its place before it came there: that of others. */
  readonly before: Float64Array
}

export interface ApiSeriesOptions {
  /** See ApiPlaces; written here only. */
  readonly places: SharedArrayBuffer
  /** All APIs that there are. */
  readonly rows: () => readonly Row[]
  /** What each worker has counted, see proxy/api-counters.ts. */
  readonly counted: readonly Float64Array[]
}

/** The label of all that have no place. An API of this name is shown by its id. */
export const otherApis = 'other'

/**
 * Hears of changes before the workers do, so that they find the place of an API with its first request. A new name
 * is a new series: one that goes on under another name would begin with a jump.
 */
export class ApiSeries implements Listener {
  readonly #options: ApiSeriesOptions
  readonly #places: ApiPlaces
  readonly #held = new Map<number, Held>()
  readonly #placeOf = new Map<string, number>()

  constructor(options: ApiSeriesOptions) {
    this.#options = options
    this.#places = new ApiPlaces(options.places)
  }

  seed(): void {
    const rows = this.#options.rows()
    const names = new Map<string, string>()
    for (const row of rows) if (this.#placeOf.has(idOf(row))) names.set(idOf(row), nameOf(row))
    for (const { id, name } of [...this.#held.values()]) if (names.get(id) !== name) this.#leave(id)
    this.#fill(rows)
  }

  change({ patches }: Changes): void {
    for (const { id, row } of patches) {
      const held = this.#held.get(this.#placeOf.get(id) ?? 0)
      if (held && (!row || nameOf(row) !== held.name)) this.#leave(id)
    }
    if (patches.length > 0 && this.#held.size < this.#places.count) this.#fill(this.#options.rows())
  }

  purge(): void {}

  forget(): void {}

  /** What was counted, by the label that it is shown under; the others last. */
  read(): ReadonlyMap<string, ApiCounts> {
    const shown = new Map<string, ApiCounts>()
    const others: Float64Array[] = []
    for (let place = 0; place <= this.#places.count; place++) {
      const held = this.#held.get(place)
      const counted = this.#countedAt(place)
      others.push(held?.before ?? counted)
      if (held) shown.set(held.name, new ApiCounts(difference(counted, held.before)))
    }
    return shown.set(otherApis, new ApiCounts(sumOf(others)))
  }

  #fill(rows: readonly Row[]): void {
    const free = Array.from({ length: this.#places.count }, (_, i) => i + 1).filter((i) => !this.#held.has(i))
    const oldest: Row[] = []
    for (const row of rows) {
      if (!this.#placeOf.has(idOf(row))) keepOldest(oldest, row, free.length)
    }
    for (const [i, row] of oldest.entries()) this.#take(free[i] as number, row)
  }

  #take(place: number, row: Row): void {
    const id = idOf(row)
    this.#held.set(place, { id, name: nameOf(row), before: this.#countedAt(place) })
    this.#placeOf.set(id, place)
    this.#places.give(place, id)
  }

  #leave(id: string): void {
    const place = this.#placeOf.get(id) as number
    this.#held.delete(place)
    this.#placeOf.delete(id)
    this.#places.give(place, undefined)
  }

  #countedAt(place: number): Float64Array {
    return sumOf(this.#options.counted.map((numbers) => countsAt(numbers, place)))
  }
}

/** Adds `row` to `oldest`, which are sorted and `most` at the most. There may be many rows: most cost one comparison. */
function keepOldest(oldest: Row[], row: Row, most: number): void {
  const last = oldest.at(-1)
  const isFull = oldest.length === most
  if (isFull && (!last || byAge(row, last) > 0)) return
  const at = oldest.findIndex((other) => byAge(row, other) < 0)
  oldest.splice(at < 0 ? oldest.length : at, 0, row)
  if (isFull) oldest.pop()
}

function idOf({ id }: Row): string {
  return String(id)
}

function nameOf({ id, name }: Row): string {
  return typeof name === 'string' && name !== '' && name !== otherApis ? name : String(id)
}

function difference(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((number, i) => number - (b[i] as number))
}
