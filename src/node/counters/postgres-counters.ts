// The agent's part in counting for all nodes: takes the batches of its workers and has the datastore count them, one
// statement at a time, so that what comes meanwhile goes together in the next one.
import { sql } from 'kysely'
import type { Clock } from '../../base/clock.ts'
import type { Database } from '../../database/database.ts'
import { CountersAway } from '../errors.ts'
import type { BatchAnswer, BatchAsk } from './batch.ts'

/**
 * How long requests wait for a statement; those that come while another is under way wait for that one as well.
 * Longer rides out a slow moment of the datastore, and holds more requests while it is away unnoticed.
 */
const statementMs = 2000

/** Counters in one statement, which holds their locks until the last is counted, some 100 µs each. */
const asksMax = 500

export interface PostgresCountersOptions {
  readonly database: Database
  /** Whether the datastore is known not to answer: then nothing is asked of it. */
  readonly isAway: () => boolean
  readonly clock: Clock
}

export class PostgresCounters {
  readonly #options: PostgresCountersOptions
  #queue: Batch[] = []
  #busy = false
  /** The statement under way takes longer than it may: nobody waits for it any more. */
  #late = false

  constructor(options: PostgresCountersOptions) {
    this.#options = options
  }

  /** Answers in the same order. @throws {CountersAway} */
  async count(asks: readonly BatchAsk[]): Promise<readonly BatchAnswer[]> {
    if (this.#options.isAway()) throw new CountersAway('the datastore does not answer')
    if (this.#late) throw tooLate()
    const { promise, resolve, reject } = Promise.withResolvers<readonly BatchAnswer[]>()
    this.#queue.push({ asks, resolve, reject })
    if (!this.#busy) void this.#work()
    return promise
  }

  async #work(): Promise<void> {
    this.#busy = true
    while (this.#queue.length > 0) await this.#countAll(this.#next())
    this.#busy = false
  }

  /** Takes as many batches as go into one statement, and one at the least. */
  #next(): Batch[] {
    let asks = 0
    const beyond = this.#queue.findIndex((batch) => {
      asks += batch.asks.length
      return asks > asksMax
    })
    return this.#queue.splice(0, beyond < 0 ? this.#queue.length : Math.max(1, beyond))
  }

  /** Resolves when the statement has ended, which may be after all have given up on it. */
  async #countAll(batches: readonly Batch[]): Promise<void> {
    const timer = this.#options.clock.after(statementMs, () => {
      this.#late = true
      giveUp([...batches, ...this.#queue.splice(0)], tooLate())
    })
    try {
      const answers = await this.#ask(batches.flatMap(({ asks }) => asks))
      let first = 0
      for (const { asks, resolve } of batches) {
        resolve(answers.slice(first, first + asks.length))
        first += asks.length
      }
    } catch (cause) {
      giveUp(batches, new CountersAway('the datastore did not count them', cause))
    } finally {
      timer.cancel()
      this.#late = false
    }
  }

  async #ask(asks: readonly BatchAsk[]): Promise<BatchAnswer[]> {
    const answers = new Array<BatchAnswer>(asks.length)
    const numbered = asks.map((ask, number) => ({ ask, number }))
    for (const [table, group] of Map.groupBy(numbered, ({ ask }) => ask.table)) {
      const body = JSON.stringify(group.map(({ ask }) => ask))
      const query = sql<CountedRow>`select * from ${sql.id(`count_${table}`)}(${body}::jsonb)`
      const { rows } = await query.execute(this.#options.database.primary)
      for (const { place, granted, used_now: used, left_ms: leftMs } of rows) {
        answers[group[place]?.number as number] = { granted, used, leftMs }
      }
    }
    return answers
  }
}

interface Batch {
  readonly asks: readonly BatchAsk[]
  readonly resolve: (answers: readonly BatchAnswer[]) => void
  readonly reject: (error: unknown) => void
}

/** What `count_<table>` returns for each ask; see plugins/counter-table.ts. */
interface CountedRow {
  readonly place: number
  readonly granted: number
  readonly used_now: number[]
  readonly left_ms: number[]
}

function giveUp(batches: readonly Batch[], error: CountersAway): void {
  for (const { reject } of batches) reject(error)
}

function tooLate(): CountersAway {
  return new CountersAway(`the datastore did not count them within ${statementMs} ms`)
}
