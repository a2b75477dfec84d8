// Clients of Kong 0.8 know one cache entry for each plugin and API: `plugins:<name>:<api>[:<consumer>]`. Troop keeps
// one for all plugins of an API, `plugins:<api>`, and one for all of a consumer, `consumer_plugins:<consumer>`. This is
// how the old spelling is read.
import type { Json, Row } from '../base/json.ts'

export interface PluginKey {
  /** The entry that holds it. */
  readonly key: string
  /** The plugin in it that is meant, and for which API. */
  readonly name: string
  readonly api: string
}

/** What 0.8 keeps where a plugin is not configured. */
const noPlugin: Json = { null: true }

/** Reads the old spelling; undefined for every other key. What follows the prefix is an id in ours, a name in it. */
export function parsePluginKey(key: string): PluginKey | undefined {
  const [prefix, name, api, consumer, ...more] = key.split(':')
  if (prefix !== 'plugins' || !name || isUuid(name) || api === undefined || more.length > 0) return undefined
  return { key: consumer === undefined ? `plugins:${api}` : `consumer_plugins:${consumer}`, name, api }
}

/** What the old key shows of the list that is cached: the API's own, else what applies to all. */
export function viewOfPlugins(rows: readonly Row[], { name, api }: PluginKey): Json {
  const named = rows.filter((row) => row.name === name)
  const at = (api: string | null) => named.find((row) => (row.api_id ?? null) === api)
  return at(api) ?? at(null) ?? noPlugin
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
}
