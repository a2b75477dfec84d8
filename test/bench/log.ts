// What the log costs a write: transactions per second on a table under the log, beside the same on a table that is
// not, by 1, 8 and 32 writers. Both kinds take turns in one run, so that a slow moment hits both.
import { type Kysely, sql } from 'kysely'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { Database } from '../../src/database/database.ts'
import { median, table } from '../support/measure.ts'
import { durable, testServer } from '../support/postgres.ts'
import type { BenchOptions } from './bench.ts'

const writerCounts = [1, 8, 32]
const tables = ['logged', 'unlogged'] as const

export async function bench({ toy }: BenchOptions): Promise<string> {
  const rounds = toy ? 1 : 5
  const turnMs = toy ? 100 : 2000
  // What a write costs is decided by the disk.
  const server = await testServer(durable)
  const test = await server.database()
  for (const name of tables)
    await test.query(`create table ${name} (like consumers including defaults including indexes)`)
  await test.query(`select log_changes('logged')`)
  const { host, port, user, password, database: name } = test
  const poolSize = Math.max(...writerCounts)
  const database = new Database(
    { host, port, user, password, database: name, poolSize },
    { logger: silentLogger },
  )
  const rows = [['writers', 'logged/s', 'unlogged/s', 'ratio']]
  try {
    for (const writers of writerCounts) {
      const rates = { logged: [] as number[], unlogged: [] as number[] }
      // The first turns make connections and plans, and are not counted.
      for (let round = -1; round < rounds; round++) {
        for (const kind of tables) {
          const rate = await turn(database, kind, writers, turnMs)
          if (round >= 0) rates[kind].push(rate)
        }
      }
      const [logged, unlogged] = [median(rates.logged), median(rates.unlogged)]
      const ratio = (logged / unlogged).toFixed(2)
      rows.push([String(writers), logged.toFixed(0), unlogged.toFixed(0), ratio])
    }
  } finally {
    await database.stop()
    await test.drop()
    await server.remove()
  }
  return table(rows)
}

/** Transactions per second of so many writers, each with one transaction at a time. */
async function turn(database: Database, name: string, writers: number, turnMs: number): Promise<number> {
  const start = systemClock.monotonic()
  const insert = (trx: Kysely<never>) =>
    sql`insert into ${sql.table(name)} (username) values (gen_random_uuid()::text)`.execute(trx)
  const counts = await Promise.all(
    Array.from({ length: writers }, async () => {
      let count = 0
      while (systemClock.monotonic() < start + turnMs) {
        await database.transaction((trx) => insert(trx as unknown as Kysely<never>), { actor: null })
        count++
      }
      return count
    }),
  )
  const elapsedMs = systemClock.monotonic() - start
  return (counts.reduce((sum, count) => sum + count) * 1000) / elapsedMs
}
