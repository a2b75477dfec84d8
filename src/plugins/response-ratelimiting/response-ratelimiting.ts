// Limits what the upstream says that requests use up: so many of a named thing in a second, minute, hour and so on.
import { type Period, type PerPeriod, periods } from '../../base/calendar.ts'
import { isObject, type Json, type JsonObject } from '../../base/json.ts'
import { countedByFields, identifierOf, policyOf } from '../counted-by.ts'
import { counterTable } from '../counter-table.ts'
import { isFieldName } from '../header-field.ts'
import { faultOfLimits, limitFields, limitsOf } from '../limits.ts'
import { PerRequest } from '../per-request.ts'
import { type Ask, definePlugin, type PluginHeaders, type PluginRequest, Refusal } from '../plugin.ts'

const metrics = counterTable('response_ratelimiting_metrics')

/** More than that in one response is a mistake, and counts as this much. */
const incrementMax = 2 ** 31

export const responseRatelimiting = definePlugin({
  name: 'response-ratelimiting',
  priority: 900,
  config: {
    limits: {
      type: 'table',
      each: limitFields,
      check: checkNames,
      help: 'for each name that the upstream may use, how much within one period',
    },
    header_name: {
      type: 'string',
      default: 'x-kong-limit',
      check: (value) =>
        isFieldName(String(value))
          ? undefined
          : { error: `header_name is not the name of a header: '${value}'` },
      help: 'the response header in which the upstream says what was used, as name=value',
    },
    continue_on_error: {
      type: 'boolean',
      default: false,
      help: 'let requests through without limits when it cannot be told what was used',
    },
    block_on_first_violation: {
      type: 'boolean',
      default: false,
      help: 'refuse requests as soon as one of the limits is used up, whatever they would use',
    },
    ...countedByFields,
  },
  example: { limits: { video: { minute: 10 } } },
  checkConfig({ limits }) {
    const all = Object.values(tableOf(limits))
    if (all.length === 0) return 'You need to set at least one limit name'
    return all.map((each) => faultOfLimits(tableOf(each))).find((fault) => fault !== undefined)
  },
  entities: [metrics.entity],
  migrations: { '0001_metrics': metrics.migration },
  open({ counters }) {
    const judged = new PerRequest<readonly Quota[]>()
    return {
      access(request, config) {
        const counting = counters[policyOf(config)]
        const asks = asksOf(request, config)
        const judge = (used: readonly PerPeriod<number>[]): undefined => {
          const quotas = asks.map(({ name, ask }, i) => new Quota(name, ask, used[i] as PerPeriod<number>))
          judged.set(request, quotas)
          admit(request, config, quotas)
        }
        const fail = (error: unknown): undefined => {
          if (config.continue_on_error !== true) throw error
        }
        const reads = asks.map(({ ask }) => counting.read(ask))
        const isHere = (read: (typeof reads)[number]) => !(read instanceof Promise)
        return reads.every(isHere)
          ? judge(reads as PerPeriod<number>[])
          : Promise.all(reads).then(judge, fail)
      },
      headers(response, config, request) {
        const header = String(config.header_name)
        const increments = incrementsIn(response.headers.all(header))
        response.headers.remove(header)
        const quotas = judged.get(request) ?? []
        const isOver = quotas.some((quota) => quota.isUsedUp && (increments.get(quota.name) ?? 0) > 0)
        for (const quota of quotas) {
          const increment = isOver ? 0 : (increments.get(quota.name) ?? 0)
          tell(response.headers, quota, increment)
          if (increment > 0) counters[policyOf(config)].add(quota.ask, increment)
        }
        if (!isOver) return
        response.status = 429
        response.dropBody()
      },
    }
  },
})

/** What one request found of one limit. */
class Quota {
  readonly name: string
  readonly ask: Ask
  readonly #used: PerPeriod<number>

  constructor(name: string, ask: Ask, used: PerPeriod<number>) {
    this.name = name
    this.ask = ask
    this.#used = used
  }

  /** What is left in each period that has a limit; below zero where more was used than that. */
  get left(): readonly (readonly [period: Period, limit: number, left: number])[] {
    return periods.flatMap((period) => {
      const limit = this.ask.limits[period]
      return limit === undefined ? [] : [[period, limit, limit - this.#used[period]] as const]
    })
  }

  get leastLeft(): number {
    return Math.min(...this.left.map(([, , left]) => left))
  }

  get isUsedUp(): boolean {
    return this.leastLeft <= 0
  }
}

/** One counter for each name; no identifier has a blank in it, so no two are the same. */
function asksOf(request: PluginRequest, config: JsonObject): { name: string; ask: Ask }[] {
  const identifier = identifierOf(request, config)
  return Object.entries(tableOf(config.limits)).map(([name, limits]) => ({
    name,
    ask: {
      table: metrics.entity.name,
      api: String(request.api.id),
      identifier: `${name} ${identifier}`,
      limits: limitsOf(tableOf(limits)),
    },
  }))
}

/** Tells the upstream what is left, so that it can do less. */
function admit({ headers }: PluginRequest, config: JsonObject, quotas: readonly Quota[]): void {
  for (const quota of quotas) {
    if (config.block_on_first_violation === true && quota.isUsedUp) {
      throw new Refusal(429, `API rate limit exceeded for '${quota.name}'`)
    }
    headers.set(`X-RateLimit-Remaining-${quota.name}`, String(quota.leastLeft))
  }
}

/** Tells the client what is left after this response. */
function tell(headers: PluginHeaders, quota: Quota, increment: number): void {
  for (const [period, limit, left] of quota.left) {
    headers.set(`X-RateLimit-Limit-${quota.name}-${period}`, String(limit))
    headers.set(`X-RateLimit-Remaining-${quota.name}-${period}`, String(Math.max(0, left - increment)))
  }
}

/** `image=1, video=3`; what is no whole number above zero is nothing. */
function incrementsIn(values: readonly string[]): ReadonlyMap<string, number> {
  const increments = new Map<string, number>()
  for (const part of values.flatMap((value) => value.split(','))) {
    const [, name, digits] = /^\s*(\S+?)\s*=\s*(\d+)\s*$/.exec(part) ?? []
    if (name !== undefined) increments.set(name, Math.min(Number(digits), incrementMax))
  }
  return increments
}

/** Names become part of names of headers. */
function checkNames(limits: Json) {
  const wrong = Object.keys(tableOf(limits)).find((name) => !isFieldName(name))
  return wrong === undefined ? undefined : { error: `'${wrong}' cannot be part of the name of a header` }
}

function tableOf(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {}
}
