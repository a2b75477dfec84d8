// Removes rows whose time is over, of entities that say when that is. Every node does it: they leave each other the
// rows that they are at, and whoever is up is enough.
import { sql } from 'kysely'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Database } from '../database/database.ts'
import type { Entity } from '../entities/define.ts'
import { isOver } from '../store/expiry.ts'

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

/** The same of rows that are logged: so many events are one transaction of the log, and one frame to each node. */
const loggedMax = 100

/** Events tell it as the one who removed them. */
const actor = 'expiry'

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
    for (const entity of this.#parts.entities()) {
      if (entity.expires === undefined) continue
      const most = entity.logged === false ? rowsMax : loggedMax
      let removed = most
      while (removed === most && !this.#stopping.signal.aborted) removed = await this.#remove(entity, most)
    }
  }

  /** Returns how many rows were removed. */
  async #remove(entity: Entity, most: number): Promise<number> {
    const table = sql.table(entity.name)
    const query = sql`
      delete from ${table} where ctid = any (array(
        select ctid from ${table} where ${isOver(entity)} limit ${most} for update skip locked
      ))`
    const { database } = this.#parts
    if (entity.logged === false) return Number((await query.execute(database.primary)).numAffectedRows)
    // The log's lock is held no longer than by any other write; nodes are notified as of any change.
    const { value } = await database.transaction((trx) => query.execute(trx), { actor })
    return Number(value.numAffectedRows)
  }
}
