// Many APIs and credentials, put into a database before any node is there: past the log, which nobody has read yet.
import type { TestDatabase } from '../../support/postgres.ts'

/** A third each: a host of its own, a wildcard host, and a path of two segments. All lead to one upstream. */
export async function populate(
  database: TestDatabase,
  upstreamUrl: string,
  { apis, credentials }: { readonly apis: number; readonly credentials: number },
): Promise<void> {
  await pastTheLog(database, 'apis', () =>
    database.query(
      `insert into apis (name, upstream_url, request_host, request_path)
       select 'api-' || i, $1,
         case i % 3 when 0 then 'host-' || i || '.example.com' when 1 then '*.wild-' || i || '.example.com' end,
         case i % 3 when 2 then '/team-' || i % 100 || '/service-' || i end
       from generate_series(0, $2::int - 1) i`,
      [upstreamUrl, apis],
    ),
  )
  if (credentials === 0) return
  await pastTheLog(database, 'consumers', () =>
    database.query(`insert into consumers (username) select 'user ' || i from generate_series(0, 99) i`),
  )
  await pastTheLog(database, 'keyauth_credentials', () =>
    database.query(
      `insert into keyauth_credentials (consumer_id, key)
       select users.ids[1 + i % 100], 'key-' || i
       from generate_series(0, $1::int - 1) i, (select array_agg(id) as ids from consumers) users`,
      [credentials],
    ),
  )
}

/** How to ask for an API: `Host` and path. */
export function routeOf(i: number): { readonly host: string; readonly path: string } {
  if (i % 3 === 0) return { host: `host-${i}.example.com`, path: '/any' }
  if (i % 3 === 1) return { host: `some.wild-${i}.example.com`, path: '/any' }
  return { host: 'nobody.example.org', path: `/team-${i % 100}/service-${i}/any` }
}

async function pastTheLog(
  database: TestDatabase,
  table: string,
  write: () => Promise<unknown>,
): Promise<void> {
  await database.query(`alter table ${table} disable trigger log_change`)
  await write()
  await database.query(`alter table ${table} enable always trigger log_change`)
  await database.query(`analyze ${table}`)
}
