// Opens the datastore that the configuration names, or the embedded one, and brings its schema up to date.
import { readFile } from 'node:fs/promises'
import type { ConnectionOptions } from 'node:tls'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Resources } from '../base/resources.ts'
import type { Config } from '../config/config.ts'
import { Database, type DatabaseOptions } from '../database/database.ts'
import { defaultEmbeddedDir, EmbeddedPostgres } from '../database/embedded.ts'
import {
  coreModule,
  type MigrationModule,
  type MigrationReport,
  migrateUp,
  requirePostgres15,
} from '../database/migrate.ts'
import type { Plugin } from '../plugins/plugin.ts'

/** Parts that everything of a node shares. */
export interface Surroundings {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export interface Datastore {
  readonly options: DatabaseOptions
  /** Where it is, for people, without secrets. */
  readonly description: string
}

/** Tables may be rewritten by a migration: a statement of one gets as long as a person would wait. */
const migrationStatementMs = 30 * 60_000

/** The modules to migrate, in order. */
export function migrationModules(plugins: readonly Plugin[]): readonly MigrationModule[] {
  return [coreModule, ...plugins.filter(hasMigrations)]
}

function hasMigrations({ migrations }: Plugin): boolean {
  return Object.keys(migrations).length > 0
}

/** Finds out how to reach the datastore; starts the embedded server, and registers its stop, when that is it. */
export async function openDatastore(
  postgres: Config['postgres'],
  { clock, random, logger }: Surroundings,
  resources: Resources,
  signal?: AbortSignal,
): Promise<Datastore> {
  const { poolSize, connectTimeoutMs, queryTimeoutMs, readUrl } = postgres
  const common = { poolSize, connectTimeoutMs, queryTimeoutMs }
  if (postgres.embedded) {
    const dir = postgres.embeddedDir ?? (await defaultEmbeddedDir())
    const server = resources.own('embedded postgres', new EmbeddedPostgres({ dir, clock, random, logger }))
    const address = await server.start(signal)
    return {
      options: { ...address, ...common, readUrl },
      description: `embedded postgres on port ${address.port} in ${dir}`,
    }
  }
  const { host, port, user, password, database } = postgres
  const ssl = await tlsOptions(postgres.ssl)
  return {
    options: { host, port, user, password, database, ssl, ...common, readUrl },
    description: `postgres host=${host} port=${port} database=${database} user=${user}`,
  }
}

/**
 * Runs the migrations that are missing, one node at a time.
 * @param report  told a line for each module that is migrated, and for each migration that has run
 */
export async function migrateDatastore(
  { options }: Datastore,
  plugins: readonly Plugin[],
  { clock, logger }: Surroundings,
  report: (line: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  // A pool of its own: its statements may take long, and it is closed when they are done.
  const database = new Database({ ...options, poolSize: 2, queryTimeoutMs: migrationStatementMs }, { logger })
  try {
    await requirePostgres15(database.primary)
    const progress: MigrationReport = {
      migrating: (module) => report(`Migrating ${module} (postgres)`),
      migrated: (module, migration) => report(`${module} migrated up to: ${migration}`),
    }
    await migrateUp(database.primary, migrationModules(plugins), clock, progress, signal)
  } finally {
    await database.stop()
  }
}

async function tlsOptions(ssl: Config['postgres']['ssl']): Promise<false | ConnectionOptions> {
  if (!ssl.enabled) return false
  const ca = ssl.certificateAuthorityPath && (await readFile(ssl.certificateAuthorityPath, 'utf8'))
  return { rejectUnauthorized: ssl.verify, ...(ca ? { ca } : {}) }
}
