import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import type { Database } from '../../src/database/database.ts'
import { postgresDatastore } from '../../src/node/agent-datastore.ts'
import { type DatastoreWorld, datastoreSuite } from '../support/datastore-suite.ts'
import { openDatabase, until } from '../support/log.ts'
import { testDatabase } from '../support/postgres.ts'

async function postgres(): Promise<DatastoreWorld> {
  const test = await testDatabase()
  const databases: Database[] = []
  const listeners = `from pg_stat_activity where datname = current_database() and application_name = 'troop listener'`
  return {
    client() {
      const database = openDatabase(test)
      databases.push(database)
      return postgresDatastore(database, systemClock)
    },
    async age(name, byMs) {
      const ms = `${byMs} ms`
      await test.query(
        'update nodes set last_seen = last_seen - $2::interval, forced_at = forced_at - $2::interval where name = $1',
        [name, ms],
      )
    },
    async cutOff(position) {
      await test.query('delete from events where position < $1', [position])
    },
    async breakListening() {
      const broken = await test.query(`select pg_terminate_backend(pid) ${listeners}`)
      expect(broken).to.not.deep.equal([])
    },
    outcome: (promise) => promise,
    until: (isTrue) => until(isTrue),
    async stop() {
      for (const database of databases) await database.stop()
      await test.drop()
    },
  }
}

datastoreSuite('real', postgres)
