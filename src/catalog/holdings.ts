// What one thread holds, as an audit sees it: each thing as a key and a hash, so that values need not travel. The agent
// looks at itself and each worker at itself by the same code.
import { hash } from 'node:crypto'
import type { Row } from '../base/json.ts'
import type { Cache } from '../cache/cache.ts'
import type { Cached } from './apply.ts'

/** Entries of the cache under their keys, or rows of the projected table under their ids. */
export type Kind = 'entries' | 'rows'

export interface Held {
  readonly key: string
  /** See `valueHash`. */
  readonly hash: string
}

/** A thread that holds something. Both answers are undefined when it ended before it gave them. */
export interface Holder {
  /** As `Holdings.page`. */
  page(kind: Kind, anew: boolean): Promise<readonly string[] | undefined>
  /** What it holds under `keys` at this place in the stream of its messages, hence as of what is applied in this tick. */
  inspect(kind: Kind, keys: readonly string[]): Promise<readonly Held[] | undefined>
}

/** Keys a page. Listing this many and copying them to another thread takes less than a millisecond. */
const pageKeys = 1000

export class Holdings {
  readonly #cache: Cache<Cached>
  readonly #rows: () => ReadonlyMap<string, Row>
  #listing: Iterator<string> = [].values()

  constructor(cache: Cache<Cached>, rows: () => ReadonlyMap<string, Row>) {
    this.#cache = cache
    this.#rows = rows
  }

  /** The keys of all that is held, page by page, from the first one on if `anew`; empty after the last of them. */
  page(kind: Kind, anew: boolean): readonly string[] {
    if (anew) this.#listing = kind === 'entries' ? this.#cache.keys() : this.#rows().keys()
    const page: string[] = []
    while (page.length < pageKeys) {
      const next = this.#listing.next()
      if (next.done) break
      page.push(next.value)
    }
    return page
  }

  /** What is held under `keys` now. Those under which nothing is are left out, and purged entries: they count as absent. */
  inspect(kind: Kind, keys: readonly string[]): readonly Held[] {
    return keys.flatMap((key) => {
      const value = kind === 'entries' ? this.#cache.peek(key)?.value : this.#rows().get(key)
      return value === undefined ? [] : { key, hash: valueHash(value) }
    })
  }
}

/**
 * SHA-256 of the value's JSON, 64 lower-case hex digits. Rows have their columns in the order in which Postgres
 * prints them, whether they were read or came with an event, so equal values have equal texts.
 */
export function valueHash(value: Cached | null): string {
  return hash('sha256', JSON.stringify(value))
}
