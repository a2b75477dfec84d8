// Lets so many requests through in each second, minute, hour, day, month or year of the calendar, and refuses the rest.
import { type Period, periods } from '../../base/calendar.ts'
import type { JsonObject } from '../../base/json.ts'
import { countedByFields, identifierOf, policyOf } from '../counted-by.ts'
import { counterTable } from '../counter-table.ts'
import { faultOfLimits, limitFields, limitsOf } from '../limits.ts'
import { type Ask, definePlugin, type Limits, type PluginRequest, Refusal, type Tally } from '../plugin.ts'
import { CountedOnce } from './counted-once.ts'

const metrics = counterTable('ratelimiting_metrics')

export const rateLimiting = definePlugin({
  name: 'rate-limiting',
  priority: 900,
  config: {
    ...limitFields,
    async: {
      type: 'boolean',
      default: false,
      help: 'decide by what the node knows, and count after that; concerns the policy cluster alone',
    },
    continue_on_error: {
      type: 'boolean',
      default: false,
      help: 'let requests through uncounted when they cannot be counted',
    },
    ...countedByFields,
  },
  checkConfig: faultOfLimits,
  example: { minute: 60 },
  entities: [metrics.entity],
  migrations: { '0001_metrics': metrics.migration },
  open({ counters }) {
    const once = new CountedOnce(counters)
    const judged = new WeakMap<PluginRequest, Judged>()
    return {
      access(request, config) {
        const ask = askOf(request, config)
        const judge = (tally: Tally): undefined => {
          judged.set(request, { limits: ask.limits, tally })
          if (!isWithin(ask.limits, tally)) throw new Refusal(429, 'API rate limit exceeded')
        }
        const fail = (error: unknown): undefined => {
          if (config.continue_on_error !== true) throw error
        }
        const tally = once.take(request, policyOf(config), ask)
        return tally instanceof Promise ? tally.then(judge, fail) : judge(tally)
      },
      headers({ headers }, _config, request) {
        for (const [name, value] of rateHeaders(judged.get(request))) headers.set(name, value)
      },
    }
  },
})

/** A request that was let through or refused, and by what. */
interface Judged {
  readonly limits: Limits
  readonly tally: Tally
}

function askOf(request: PluginRequest, config: JsonObject): Ask {
  return {
    table: metrics.entity.name,
    api: String(request.api.id),
    identifier: identifierOf(request, config),
    limits: limitsOf(config),
    ahead: config.async === true,
  }
}

/** Asked of each limit although the tally says it: the limits may have changed since. */
function isWithin(limits: Limits, { counted, used }: Tally): boolean {
  return counted && periods.every((period) => used[period] - 1 < (limits[period] ?? Number.POSITIVE_INFINITY))
}

function rateHeaders(judged: Judged | undefined): [name: string, value: string][] {
  if (!judged) return []
  const { limits, tally } = judged
  return Object.entries(limits).flatMap(([period, limit]): [string, string][] => [
    [`X-RateLimit-Limit-${period}`, String(limit)],
    [`X-RateLimit-Remaining-${period}`, String(Math.max(0, limit - tally.used[period as Period]))],
  ])
}
