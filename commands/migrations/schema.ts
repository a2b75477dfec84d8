// The datastore's schema, opened for as long as a command needs it.
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { systemRandom } from '../../src/base/random.ts'
import { Resources } from '../../src/base/resources.ts'
import type { LoadedConfig } from '../../src/config/config.ts'
import { Database } from '../../src/database/database.ts'
import { listMigrations, type ModuleMigrations, resetDatabase } from '../../src/database/migrate.ts'
import { migrateDatastore, migrationModules, openDatastore } from '../../src/node/datastore.ts'
import { loadPlugins } from '../../src/node/plugins.ts'

/** Dropping waits for locks that running nodes hold. */
const statementLimitMs = 60_000

export interface Schema {
  /** Where it is, for people. */
  readonly description: string
  list(): Promise<ModuleMigrations[]>
  /** @param report  told a line for each step */
  migrate(report: (line: string) => void): Promise<void>
  reset(): Promise<void>
}

/** Connects, starting the embedded server if that is the datastore, and closes all when `use` is done. */
export async function withSchema<T>(loaded: LoadedConfig, use: (schema: Schema) => Promise<T>): Promise<T> {
  const { config, path } = loaded
  // What goes wrong is thrown, and printed by the command.
  const logger = silentLogger
  const surroundings = { clock: systemClock, random: systemRandom, logger }
  const resources = new Resources()
  try {
    const plugins = await loadPlugins(config.customPlugins, path)
    const datastore = await openDatastore(config.postgres, surroundings, resources)
    const options = { ...datastore.options, poolSize: 2, queryTimeoutMs: statementLimitMs }
    const database = resources.own('database', new Database(options, { logger }))
    return await use({
      description: datastore.description,
      list: () => listMigrations(database.primary, migrationModules(plugins)),
      migrate: (report) => migrateDatastore(datastore, plugins, surroundings, report),
      reset: () => resetDatabase(database.primary, systemClock),
    })
  } finally {
    await resources.release()
  }
}
