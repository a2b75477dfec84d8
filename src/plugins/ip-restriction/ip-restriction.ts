// Lets requests pass, or keeps them out, by the address that they come from.
import { AddressList, faultOfRange } from '../../base/address-list.ts'
import type { Json, JsonObject } from '../../base/json.ts'
import type { FieldVerdict } from '../../entities/define.ts'
import { definePlugin, Refusal } from '../plugin.ts'

export const ipRestriction = definePlugin({
  name: 'ip-restriction',
  priority: 990,
  config: {
    whitelist: {
      type: 'array',
      check: checkRanges,
      example: ['10.0.0.0/8', 'fd00::/8'],
      help: 'only these addresses and ranges may pass',
    },
    blacklist: {
      type: 'array',
      check: checkRanges,
      help: 'these addresses and ranges may not pass',
    },
  },
  example: { whitelist: ['10.0.0.0/8'] },
  checkConfig(config) {
    const [white, black] = [rangesOf(config.whitelist).length > 0, rangesOf(config.blacklist).length > 0]
    if (white && black) return 'you cannot set both a whitelist and a blacklist'
    return white || black ? undefined : 'you must set at least a whitelist or blacklist'
  },
  open() {
    /** By configuration, which is the same object as long as it does not change. */
    const rules = new WeakMap<JsonObject, Rule>()
    return {
      access({ clientAddress }, config) {
        const rule = rules.get(config) ?? ruleOf(config)
        rules.set(config, rule)
        if (!rule(clientAddress)) throw new Refusal(403, 'Your IP address is not allowed')
        return undefined
      },
    }
  },
})

/** Whether an address may pass. */
type Rule = (address: string) => boolean

/** Where the table has both lists, written by hand, the whitelist decides. @throws {TypeError} as `AddressList` */
function ruleOf(config: JsonObject): Rule {
  const [whitelist, blacklist] = [rangesOf(config.whitelist), rangesOf(config.blacklist)]
  const list = new AddressList(whitelist.length > 0 ? whitelist : blacklist)
  return whitelist.length > 0 ? (address) => list.has(address) : (address) => !list.has(address)
}

function checkRanges(value: Json): FieldVerdict {
  for (const text of rangesOf(value)) {
    const fault = faultOfRange(text)
    if (fault !== undefined) return { error: `cannot parse '${text}': ${fault}` }
  }
  return undefined
}

/** One that is not given, or was emptied, has nothing in it. */
function rangesOf(list: Json | undefined): readonly string[] {
  return (list ?? []) as readonly string[]
}
