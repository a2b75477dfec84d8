// Lets so many requests through in each second, minute, hour, day, month or year of the calendar, and refuses the rest.
import { type PerPeriod, periods } from '../../base/calendar.ts'
import type { JsonObject } from '../../base/json.ts'
import { countedByFields, identifierOf, policyOf } from '../counted-by.ts'
import { counterTable } from '../counter-table.ts'
import { faultOfLimits, limitFields, limitsOf } from '../limits.ts'
import { PerRequest } from '../per-request.ts'
import {
  type Ask,
  definePlugin,
  type Limits,
  type PluginHeaders,
  type PluginRequest,
  Refusal,
  type Tally,
} from '../plugin.ts'
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
    const judged = new PerRequest<Judged>()
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
        const found = judged.get(request)
        if (found) tell(headers, found)
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
  if (!counted) return false
  for (const period of periods)
    if (used[period] - 1 >= (limits[period] ?? Number.POSITIVE_INFINITY)) return false
  return true
}

function tell(headers: PluginHeaders, { limits, tally }: Judged): void {
  for (const period of periods) {
    const limit = limits[period]
    if (limit === undefined) continue
    headers.set(names[period].limit, String(limit))
    headers.set(names[period].remaining, String(Math.max(0, limit - tally.used[period])))
  }
}

const names = Object.fromEntries(
  periods.map((period) => [
    period,
    { limit: `X-RateLimit-Limit-${period}`, remaining: `X-RateLimit-Remaining-${period}` },
  ]),
) as PerPeriod<{ readonly limit: string; readonly remaining: string }>
