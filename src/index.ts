// What the package offers to programs: writing plugins. Everything else is the command line's.
export { type Kysely, sql } from 'kysely'
export type { Migration } from 'kysely/migration'
export type { Clock } from './base/clock.ts'
export type { Json, JsonObject, Row } from './base/json.ts'
export type { Logger } from './base/logger.ts'
export type { View } from './catalog/catalog.ts'
export {
  commonFields,
  consumerField,
  defineEntity,
  type Entity,
  type Field,
  type Fields,
  type Lookup,
} from './entities/define.ts'
export type { ConfigOf } from './plugins/config-type.ts'
export { type CounterTable, counterTable } from './plugins/counter-table.ts'
export { identifyOwner } from './plugins/identity.ts'
export {
  type AccessTools,
  type Ask,
  andThen,
  type BodyChange,
  type BodyLimit,
  type BodyPipe,
  type Counters,
  type Counting,
  definePlugin,
  type KeyPair,
  type Limits,
  type LogRecord,
  type Phases,
  type Plugin,
  type PluginAnswer,
  type PluginHeaders,
  type PluginHost,
  type PluginRequest,
  type PluginResponse,
  Refusal,
  type Tally,
  type Where,
  type Writer,
} from './plugins/plugin.ts'
export { queryValues } from './plugins/query.ts'
