// Limits for each period of the calendar: their fields in a configuration, and the rules that they keep.
import { periods } from '../base/calendar.ts'
import type { JsonObject } from '../base/json.ts'
import type { Fields } from '../entities/define.ts'
import type { Limits } from './plugin.ts'

export const limitFields: Fields = Object.fromEntries(
  periods.map((period) => [period, { type: 'number', help: `allowed within one ${period}` }]),
)

const known = new WeakMap<JsonObject, Limits>()

/** Those of a configuration, or a part of one; worked out once for each. */
export function limitsOf(config: JsonObject): Limits {
  const limits = known.get(config) ?? readLimits(config)
  known.set(config, limits)
  return limits
}

function readLimits(config: JsonObject): Limits {
  const set = periods.filter((period) => typeof config[period] === 'number')
  return Object.fromEntries(set.map((period) => [period, config[period]]))
}

/** What is wrong with the limits in `config`: none at all, one that allows nothing, or one that can't be reached. */
export function faultOfLimits(config: JsonObject): string | undefined {
  const set = Object.entries(limitsOf(config))
  if (set.length === 0) return `You need to set at least one limit: ${periods.join(', ')}`
  const nothing = set.find(([, limit]) => limit <= 0)
  if (nothing) return `Value for ${nothing[0]} must be greater than zero`
  for (const [i, [longer, most]] of set.entries()) {
    const shorter = set.slice(0, i).find(([, limit]) => limit > most)
    if (shorter) return `The limit for ${longer} cannot be lower than the limit for ${shorter[0]}`
  }
  return undefined
}
