// A worker's logger: its lines are written by the agent, which owns the file and reopens it.
import { describeError } from '../base/errors.ts'
import type { LogFields, Logger, LogLevel } from '../base/logger.ts'
import type { WorkerLine } from './thread.ts'

const severity: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }

/** @param write  hands a line to the agent; throws what structured cloning can't copy */
export function workerLogger(write: (line: WorkerLine) => void, least: LogLevel, scope = 'worker'): Logger {
  const at =
    (level: LogLevel) =>
    (sentence: string, fields: LogFields = {}) => {
      if (severity[level] < severity[least]) return
      try {
        write({ level, scope, sentence, fields })
      } catch {
        const entries = Object.entries(fields).map(([name, value]) => [name, describeError(value)])
        write({ level, scope, sentence, fields: Object.fromEntries(entries) })
      }
    }
  return {
    scope: (inner) => workerLogger(write, least, inner),
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  }
}
