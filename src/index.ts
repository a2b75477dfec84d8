// What the package offers to programs: writing plugins. Everything else is the command line's.
export { defineEntity, type Entity, type Field, type Fields } from './entities/define.ts'
export {
  type AccessTools,
  andThen,
  definePlugin,
  type KeyPair,
  type LogRecord,
  type Phases,
  type Plugin,
  type PluginAnswer,
  type PluginHeaders,
  type PluginHost,
  type PluginRequest,
  type PluginResponse,
  Refusal,
} from './plugins/plugin.ts'
