// Gives each consumer a number of requests a minute, over all nodes: its own allowance, or what the configuration says.
import {
  commonFields,
  consumerField,
  counterTable,
  defineEntity,
  definePlugin,
  type Kysely,
  type PluginRequest,
  Refusal,
  sql,
} from 'troop'

const allowance = defineEntity({
  name: 'allowances',
  fields: {
    ...commonFields,
    consumer_id: consumerField,
    per_minute: {
      type: 'number',
      required: true,
      help: 'requests a minute',
      check: (value) => ((value as number) > 0 ? undefined : { error: 'must be positive' }),
    },
  },
  lookups: [{ prefix: 'allowances', by: ['consumer_id'] }],
  owner: { column: 'consumer_id', path: 'allowances' },
})

/** Where all nodes count: a table, and a function that looks and counts under the lock of one row. */
const counts = counterTable('allowance_counts')

export default definePlugin({
  name: 'allowances',
  // After the plugins that find out who calls.
  priority: 900,
  config: {
    per_minute: {
      type: 'number',
      default: 10,
      help: 'for consumers without an allowance, and for addresses',
    },
  },
  entities: [allowance, counts.entity],
  // They run in the order of their names, once in the life of a datastore: what has run is never changed.
  migrations: {
    '0001_allowances': {
      async up(db: Kysely<unknown>) {
        await sql`
          create table allowances (
            id uuid primary key default gen_random_uuid(),
            created_at bigint not null default created_now(),
            consumer_id uuid not null
              constraint allowances_consumer_id_fkey references consumers on delete cascade
              constraint allowances_consumer_id_key unique,
            per_minute double precision not null
          )`.execute(db)
        await sql`select log_changes('allowances'::regclass)`.execute(db)
      },
    },
    '0002_counts': counts.migration,
  },
  open({ counters, logger }) {
    /** What is left to whoever sent a request, for its answer. */
    const left = new WeakMap<PluginRequest, number>()
    return {
      async access(request, config, { catalog }) {
        const { api, consumer, clientAddress } = request
        const id = consumer?.id as string | undefined
        const own = id === undefined ? null : await catalog.one(allowance, allowance.lookups[0], id)
        const perMinute = own ? (own.per_minute as number) : config.per_minute
        const identifier = id ?? clientAddress
        const { counted, used } = await counters.cluster.take({
          ...{ table: counts.entity.name, api: api.id as string, identifier },
          limits: { minute: perMinute },
        })
        left.set(request, Math.max(0, perMinute - used.minute))
        if (counted) return undefined
        logger.debug('an allowance is used up', { identifier })
        throw new Refusal(429, 'your allowance for this minute is used up')
      },
      // Runs for every answer, also where another plugin has refused the request before this one saw it.
      headers(response, _config, request) {
        const rest = left.get(request)
        if (rest !== undefined) response.headers.set('X-Allowance-Left', String(rest))
      },
    }
  },
})
