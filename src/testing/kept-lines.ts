// A logger whose lines are kept for whoever asks what was said.
import { inspect } from 'node:util'
import type { LogFields, Logger, LogLevel } from '../base/logger.ts'

export interface Line {
  readonly level: LogLevel
  /** The folder that speaks, or `plugins/<name>`. */
  readonly scope: string
  readonly sentence: string
  readonly fields: LogFields
}

/** Gives its lines to `keep`. */
export function keepLines(keep: (line: Line) => void, scope = ''): Logger {
  const say =
    (level: LogLevel) =>
    (sentence: string, fields: LogFields = {}) =>
      keep({ level, scope, sentence, fields })
  return {
    scope: (scope) => keepLines(keep, scope),
    debug: say('debug'),
    info: say('info'),
    warn: say('warn'),
    error: say('error'),
  }
}

/** For a person: what is wrong, and where. */
export function shownLine({ sentence, fields }: Line): string {
  const { error, ...others } = fields
  const told = Object.entries(others).filter(([, value]) => value !== undefined && value !== 0)
  const words = told.map(([name, value]) => `${name} ${typeof value === 'string' ? value : inspect(value)}`)
  return `${[sentence, ...words].join(', ')}\n${error === undefined ? '' : `${inspect(error)}\n`}`
}
