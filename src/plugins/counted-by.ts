// Whose requests are counted together, and where: what plugins that count let operators choose.
import type { JsonObject } from '../base/json.ts'
import type { Fields } from '../entities/define.ts'
import type { Counters, PluginRequest } from './plugin.ts'

const policies = ['local', 'cluster'] as const

/** Who has none of one is told by the next. */
const subjects = ['consumer', 'credential', 'ip'] as const
type Subject = (typeof subjects)[number]

export const countedByFields = {
  policy: {
    type: 'string',
    enum: policies,
    help: 'who counts together: all nodes (cluster, also when absent) or each node for itself (local)',
  },
  limit_by: {
    type: 'string',
    enum: subjects,
    help: 'whose requests are counted together; the consumer’s when absent',
  },
} as const satisfies Fields

export function policyOf(config: JsonObject): keyof Counters {
  return (config.policy ?? 'cluster') as keyof Counters
}

export function identifierOf(request: PluginRequest, config: JsonObject): string {
  const limitBy = (config.limit_by ?? 'consumer') as Subject
  const { consumer, credential, clientAddress } = request
  if (limitBy === 'consumer' && typeof consumer?.id === 'string') return consumer.id
  if (limitBy !== 'ip' && typeof credential?.id === 'string') return credential.id
  return clientAddress
}
