// `--timeout`, as commands that wait for a node take it.
import { Errors, Flags } from '@oclif/core'
import { formatDuration, parseDuration } from '../src/base/duration.ts'

/** @param defaultMs  what holds when it is not given */
export function timeoutFlag(description: string, defaultMs: number) {
  return Flags.custom<number>({
    helpValue: '<duration>',
    description: `${description}, e.g. 90s or 5m`,
    default: defaultMs,
    defaultHelp: async () => formatDuration(defaultMs),
    parse: async (text) => {
      const ms = parseDuration(text)
      if (ms === undefined)
        throw new Errors.CLIError(`--timeout: expected a duration such as 90s, got "${text}"`)
      return ms
    },
  })()
}
