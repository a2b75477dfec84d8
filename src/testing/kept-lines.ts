// A logger whose lines are kept for whoever asks what was said.
import type { LogFields, Logger, LogLevel } from '../base/logger.ts'

export interface Line {
  readonly level: LogLevel
  /** The folder that speaks, or `plugins/<name>`. */
  readonly scope: string
  readonly sentence: string
  readonly fields: LogFields
}

/** Puts its lines into `lines`. */
export function keepLines(lines: Line[], scope = ''): Logger {
  const say =
    (level: LogLevel) =>
    (sentence: string, fields: LogFields = {}) =>
      void lines.push({ level, scope, sentence, fields })
  return {
    scope: (scope) => keepLines(lines, scope),
    debug: say('debug'),
    info: say('info'),
    warn: say('warn'),
    error: say('error'),
  }
}
