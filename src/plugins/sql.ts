/**
 * Kysely's `sql`, loaded when a migration runs: plugins are loaded by workers too, which have no use for it, and it would be
 * half of what it takes to start one.
 */
export async function loadSql() {
  return (await import('kysely')).sql
}
