// What the statements of one transaction run on: one connection, as long as the transaction lasts.
import type { PostgresPool, PostgresPoolClient } from 'kysely'
import type { Connection } from './connection.ts'
import { DatastoreError } from './errors.ts'

/**
 * A pool of one connection for kysely. Statements wait for one another, since pg allows one at a time, and none
 * gets through once the transaction's work is done: it would run after the commit, outside of any transaction.
 */
export class TransactionScope implements PostgresPool {
  readonly options = {}
  readonly #connection: Connection
  /** Settles when the statement before is done. */
  #turn: Promise<void> = Promise.resolve()
  #over = false

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Runs `work` and waits for whatever it left running, also if it failed. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } finally {
      this.#over = true
      await this.#turn
    }
  }

  async connect(): Promise<PostgresPoolClient> {
    const before = this.#turn
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#turn = promise
    await before
    if (this.#over) {
      resolve()
      throw new DatastoreError('a statement came after the end of its transaction')
    }
    return {
      query: this.#connection.query.bind(this.#connection) as PostgresPoolClient['query'],
      release: () => resolve(),
    }
  }

  async end(): Promise<void> {}
}
