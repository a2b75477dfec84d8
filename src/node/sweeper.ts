// Removes rows whose time is over, of entities that say when that is. Every node does it: they leave each other the
// rows that they are at, and whoever is up is enough.
import { sql } from 'kysely'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Database } from '../database/database.ts'
import type { Entity } from '../entities/define.ts'

export interface SweeperParts {
  readonly database: Database
  /** Those that this node knows now. */
  readonly entities: () => readonly Entity[]
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** From one round to the next, give or take half. Longer keeps what is over for longer; it is one look at an index. */
const everyMs = 60_000

/** Rows removed by one statement: it holds their locks for some ten milliseconds. */
const rowsMax = 1000

export class Sweeper {
  readonly #parts: SweeperParts
  readonly #stopping = new AbortController()

  constructor(parts: SweeperParts) {
    this.#parts = parts
  }

  start(): void {
    void this.#run()
  }

  stop(): void {
    this.#stopping.abort()
  }

  async #run(): Promise<void> {
    const { clock, random, logger } = this.#parts
    const { signal } = this.#stopping
    while (!signal.aborted) {
      await clock.sleep(everyMs * (0.5 + random.fraction()), signal)
      // The next round comes, and nothing depends on this one.
      if (!signal.aborted) await this.sweep().catch((error) => logger.debug('not all was swept', { error }))
    }
  }

  /** Removes what is over by now. @throws {DatastoreAway} {DatastoreError} */
  async sweep(): Promise<void> {
    for (const { name, expires } of this.#parts.entities()) {
      if (expires === undefined) continue
      let removed = rowsMax
      while (removed === rowsMax && !this.#stopping.signal.aborted)
        removed = await this.#remove(name, expires)
    }
  }

  /** Returns how many rows were removed. */
  async #remove(name: string, expires: string): Promise<number> {
    const table = sql.table(name)
    const query = sql`
      delete from ${table} where ctid = any (array(
        select ctid from ${table} where ${sql.ref(expires)} < clock_timestamp()
        limit ${rowsMax} for update skip locked
      ))`
    const { numAffectedRows } = await query.execute(this.#parts.database.primary)
    return Number(numAffectedRows)
  }
}
