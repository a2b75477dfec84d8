// Lets consumers pass, or keeps them out, by the groups that they are in.
import type { JsonObject, Row } from '../../base/json.ts'
import type { Lookup } from '../../catalog/catalog.ts'
import { headerValue } from '../identity.ts'
import { andThen, definePlugin, type PluginRequest, Refusal } from '../plugin.ts'
import { acl as group } from './group.ts'
import { migrations } from './migrations.ts'

export const acl = definePlugin({
  name: 'acl',
  priority: 950,
  perConsumer: false,
  config: {
    whitelist: { type: 'array', help: 'only consumers in one of these groups may pass' },
    blacklist: { type: 'array', help: 'consumers in one of these groups may not pass' },
  },
  example: { whitelist: ['staff'] },
  checkConfig(config) {
    const [white, black] = [listOf(config, 'whitelist').length > 0, listOf(config, 'blacklist').length > 0]
    if (white && black) return 'You cannot set both a whitelist and a blacklist'
    return white || black ? undefined : 'You must set at least a whitelist or blacklist'
  },
  entities: [group],
  migrations,
  phases: {
    access(request, config, { catalog }) {
      const { consumer } = request
      if (!consumer) {
        throw new Refusal(
          403,
          'Cannot identify the consumer, add an authentication plugin to use the ACL plugin',
        )
      }
      const found = catalog.many(group, byConsumer, consumer.id as string)
      return andThen(found, (rows) => judge(request, config, rows))
    },
  },
})

const byConsumer = group.lookups[0] as Lookup

function judge(request: PluginRequest, config: JsonObject, rows: readonly Row[]): undefined {
  const groups = rows.map((row) => String(row.group))
  const [whitelist, blacklist] = [listOf(config, 'whitelist'), listOf(config, 'blacklist')]
  const isIn = (list: readonly string[]) => groups.some((name) => list.includes(name))
  if (isIn(blacklist) || (whitelist.length > 0 && !isIn(whitelist))) {
    throw new Refusal(403, 'You cannot consume this service')
  }
  request.headers.set('X-Consumer-Groups', groups.map(headerValue).join(', '))
  return undefined
}

/** One that is not given, or was emptied, has nothing in it. */
function listOf(config: JsonObject, name: 'whitelist' | 'blacklist'): readonly string[] {
  return (config[name] ?? []) as readonly string[]
}
