// Refuses clients by what they call themselves: bots that are known, and whoever else is not wanted.
import QuickLRU from 'quick-lru'
import type { Json, JsonObject } from '../../base/json.ts'
import type { FieldVerdict } from '../../entities/define.ts'
import { definePlugin, Refusal } from '../plugin.ts'
import { knownBots } from './known-bots.ts'
import { compilePattern, type Pattern } from './pattern.ts'

/** Nobody has a longer name who wants to be known by it; more would take longer to look through. */
const agentCharsMax = 1000

/** Names that a worker remembers the verdict of, for each configuration: up to twice as many, some 200 bytes each. */
const rememberedMax = 1000

export const botDetection = definePlugin({
  name: 'bot-detection',
  priority: 2500,
  perConsumer: false,
  config: {
    whitelist: {
      type: 'array',
      check: checkPatterns,
      help: 'patterns of a User-Agent that may pass, whatever else it is',
    },
    blacklist: {
      type: 'array',
      check: checkPatterns,
      help: 'patterns of a User-Agent that may not pass, besides the known ones',
    },
  },
  open() {
    /** By configuration, which is the same object as long as it does not change. */
    const judges = new WeakMap<JsonObject, Judge>()
    return {
      access({ headers }, config) {
        const [agent, ...others] = headers.all('user-agent')
        if (others.length > 0) throw new Refusal(400, 'Only one User-Agent header allowed')
        if (agent === undefined) return undefined
        const judge = judges.get(config) ?? judgeOf(config)
        judges.set(config, judge)
        if (!judge(agent.trim().slice(0, agentCharsMax))) throw new Refusal(403, 'Forbidden')
        return undefined
      },
    }
  },
})

/** Whether a client may pass. */
type Judge = (agent: string) => boolean

/** @throws {SyntaxError} as `compilePattern`, for a table that was written by hand */
function judgeOf(config: JsonObject): Judge {
  const [whitelist, blacklist] = [patternsOf(config.whitelist), patternsOf(config.blacklist)]
  const isIn = (patterns: readonly Pattern[], agent: string) => patterns.some((matches) => matches(agent))
  const judge = (agent: string) => isIn(whitelist, agent) || !(isIn(blacklist, agent) || isKnownBot(agent))
  const remembered = new QuickLRU<string, boolean>({ maxSize: rememberedMax })
  return (agent) => {
    const verdict = remembered.get(agent) ?? judge(agent)
    remembered.set(agent, verdict)
    return verdict
  }
}

function isKnownBot(agent: string): boolean {
  const lower = agent.toLowerCase()
  return knownBots.some((name) => lower.includes(name))
}

function checkPatterns(list: Json): FieldVerdict {
  for (const source of list as readonly string[]) {
    try {
      compilePattern(source)
    } catch (error) {
      return { error: `'${source}' is no pattern: ${(error as SyntaxError).message}` }
    }
  }
  return undefined
}

/** One that is not given, or was emptied, has nothing in it. */
function patternsOf(list: Json | undefined): Pattern[] {
  return ((list ?? []) as readonly string[]).map(compilePattern)
}
