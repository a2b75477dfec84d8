// One connection, checked out of the pool.
import type { PostgresCursor, PostgresPoolClient, PostgresQueryResult } from 'kysely'
import type pg from 'pg'
import { endsConnection, failureOf } from './failure.ts'

/**
 * A connection as long as somebody has it. Kysely takes it for pg's own client; what it adds is that all errors
 * are {DatastoreAway} or {DatastoreError}, and that a connection whose query failed or timed out in a way that
 * leaves its state open is closed rather than given to the next one.
 */
export class Connection implements PostgresPoolClient {
  readonly #client: pg.PoolClient
  readonly #onAnswer: () => void
  #failure: unknown

  constructor(client: pg.PoolClient, onAnswer: () => void) {
    this.#client = client
    this.#onAnswer = onAnswer
    // pg emits `error` when a connection is lost between two queries; unheard it would end the process.
    client.on('error', this.#fail)
  }

  /** Why this connection can't be used any more, if so. */
  get failure(): unknown {
    return this.#failure
  }

  query<R>(sql: string, parameters?: readonly unknown[]): Promise<PostgresQueryResult<R>>
  query<R>(cursor: PostgresCursor<R>): PostgresCursor<R>
  query(sql: unknown, parameters: readonly unknown[] = []): unknown {
    if (typeof sql !== 'string') throw new TypeError('cursors are not used here')
    return this.#query(sql, parameters)
  }

  /** Gives it back; with `discard`, or after a failure, it is closed instead. */
  release(discard = false): void {
    this.#client.off('error', this.#fail)
    this.#client.release(discard || this.#failure !== undefined)
  }

  async #query(sql: string, parameters: readonly unknown[]): Promise<unknown> {
    try {
      const result = await this.#client.query(sql, [...parameters])
      this.#onAnswer()
      return result
    } catch (error) {
      if (endsConnection(error)) this.#fail(error)
      else this.#onAnswer()
      throw failureOf(error)
    }
  }

  readonly #fail = (error: unknown): void => {
    this.#failure ??= error
  }
}
