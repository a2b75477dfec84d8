// What the package offers to programs: writing plugins. Everything else is the command line's.
export { defineEntity, type Entity, type Field, type Fields } from './entities/define.ts'
export { type CounterTable, counterTable } from './plugins/counter-table.ts'
export {
  type AccessTools,
  type Ask,
  andThen,
  type BodyChange,
  type BodyLimit,
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
