// The connections to one server, and how many may wait for one.
import type { PostgresPool } from 'kysely'
import pg from 'pg'
import type { Logger } from '../base/logger.ts'
import { Connection } from './connection.ts'
import { DatastoreAway, DatastoreError } from './errors.ts'
import { failureOf } from './failure.ts'

/**
 * Callers that may wait, for each connection of the pool. At a millisecond a query, the last of them waits for
 * less than a tenth of a second; more would only turn a busy datastore into late answers.
 */
const waitersPerConnection = 64

/** How pg-pool says that no connection came free in time; it says the same for both reasons. */
const waitedTooLong = 'timeout exceeded when trying to connect'

/** How things stand in a pool. */
export interface PoolUse {
  readonly inUse: number
  readonly idle: number
  /** Callers that wait for a connection. */
  readonly waiting: number
}

/** A pool in the shape that kysely takes. All errors are {DatastoreAway} or {DatastoreError}. */
export class ConnectionPool implements PostgresPool {
  /** Asked for by kysely's type; nothing in it is used. */
  readonly options = {}
  readonly #pool: pg.Pool
  readonly #waitersMax: number
  /** Answers from the server so far, on any connection. */
  #answers = 0
  #ended: Promise<void> | undefined

  constructor(config: pg.PoolConfig & { readonly max: number }, logger: Logger) {
    this.#pool = new pg.Pool(config)
    this.#waitersMax = config.max * waitersPerConnection
    this.#pool.on('error', (error) => logger.debug('idle connection lost', { error }))
  }

  get use(): PoolUse {
    const { totalCount, idleCount, waitingCount } = this.#pool
    return { inUse: totalCount - idleCount, idle: idleCount, waiting: waitingCount }
  }

  async connect(): Promise<Connection> {
    if (this.#ended) throw new DatastoreError('the connection pool is closed')
    const waiting = this.#pool.waitingCount
    if (waiting >= this.#waitersMax)
      throw new DatastoreError(`the datastore is too busy: ${waiting} callers wait for a connection already`)
    const answersBefore = this.#answers
    try {
      return await this.#checkOut()
    } catch (error) {
      throw this.#noConnection(error, this.#answers > answersBefore)
    }
  }

  /**
   * By callback and not by promise: it is told in the tick in which the pool takes its own ear off the connection. One
   * that the server ends as soon as it is ready says both in one piece of data, and an `error` that nobody hears would
   * end the process.
   */
  #checkOut(): Promise<Connection> {
    return new Promise((resolve, reject) => {
      this.#pool.connect((error, client) => {
        if (client) resolve(new Connection(client, () => this.#answers++))
        else reject(error)
      })
    })
  }

  /** Closes all connections, each as soon as it is given back. */
  end(): Promise<void> {
    this.#ended ??= this.#pool.end()
    return this.#ended
  }

  /** A server that answered others while we waited is busy, not away. */
  #noConnection(error: unknown, answered: boolean): DatastoreAway | DatastoreError {
    if (!(error instanceof Error && error.message === waitedTooLong)) return failureOf(error, true)
    return answered
      ? new DatastoreError('the datastore is too busy: no connection came free in time', error)
      : new DatastoreAway(error)
  }
}
