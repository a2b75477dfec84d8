// Lets a request pass that shows the badge of a consumer, in the header `Badge`.
import {
  andThen,
  commonFields,
  consumerField,
  defineEntity,
  definePlugin,
  identifyOwner,
  type Kysely,
  Refusal,
  sql,
} from 'troop'

/** Belongs to a consumer: `POST /consumers/{consumer}/badges` and so on are there because of `owner`. */
const badge = defineEntity({
  name: 'badges',
  fields: {
    ...commonFields,
    consumer_id: consumerField,
    code: { type: 'string', default: ({ random }) => random.hex(8), secret: true, help: 'unique' },
  },
  // How requests ask for it. Nodes keep the answer in memory, and drop it when the row changes, by this alone.
  lookups: [{ prefix: 'badges', by: ['code'] }],
  owner: { column: 'consumer_id', path: 'badges' },
})

export default definePlugin({
  name: 'badges',
  priority: 1000,
  // It finds out who the consumer is, so it can't be configured for one.
  perConsumer: false,
  config: {
    hide: { type: 'boolean', default: true, help: 'remove the badge before the request goes upstream' },
  },
  entities: [badge],
  migrations: {
    '0001_badges': {
      async up(db: Kysely<unknown>) {
        await sql`
          create table badges (
            id uuid primary key default gen_random_uuid(),
            created_at bigint not null default created_now(),
            consumer_id uuid not null
              constraint badges_consumer_id_fkey references consumers on delete cascade,
            code text not null constraint badges_code_key unique
          )`.execute(db)
        await sql`create index badges_consumer_id on badges (consumer_id)`.execute(db)
        await sql`select log_changes('badges'::regclass)`.execute(db)
      },
    },
  },
  phases: {
    access(request, config, { catalog }) {
      const [code, ...others] = request.headers.all('Badge')
      if (config.hide) request.headers.remove('Badge')
      // Given twice, nobody knows which one the upstream would take.
      if (code === undefined || code === '' || others.length > 0) throw refusal('show your badge')
      // Null means that there is none. That nobody can tell, since the datastore is away, is an error that is left to
      // pass: it becomes a 503, never a 401.
      return andThen(catalog.one(badge, badge.lookups[0], code), (found) => {
        if (!found) throw refusal('nobody has this badge')
        return identifyOwner(request, found, catalog, () => refusal('nobody has this badge'))
      })
    },
  },
})

function refusal(why: string): Refusal {
  return new Refusal(401, why, { 'WWW-Authenticate': 'Badge realm="troop"' })
}
