// The core's migrations, in order. A list by hand rather than a folder that is read: what runs is what is imported.
import type { Migration } from 'kysely/migration'
import * as log from './0001_log.ts'
import * as entities from './0002_entities.ts'
import * as nodes from './0003_nodes.ts'
import * as freshness from './0004_freshness.ts'
import * as globalPlugins from './0005_global_plugins.ts'

/** By name; the names' order is the order in which they run, so a new one sorts last. */
export const coreMigrations: Readonly<Record<string, Migration>> = {
  '0001_log': log,
  '0002_entities': entities,
  '0003_nodes': nodes,
  '0004_freshness': freshness,
  '0005_global_plugins': globalPlugins,
}
