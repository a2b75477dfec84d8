// What a node prints about itself: a constant sentence plus fields, one JSON object per line.
// error = someone must act; warn = it healed itself, count it; info = the node's life story; debug = each event.
import { pino } from 'pino'
import { LineSink } from './line-sink.ts'

export type LogFields = Readonly<Record<string, unknown>>

export interface Logger {
  /** A logger whose lines carry `scope`, the folder that speaks. */
  scope(scope: string): Logger
  debug(sentence: string, fields?: LogFields): void
  info(sentence: string, fields?: LogFields): void
  warn(sentence: string, fields?: LogFields): void
  error(sentence: string, fields?: LogFields): void
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** A place that lines are written to; `reopen` starts a new file after the old one was moved away. */
export interface LogFile {
  readonly logger: Logger
  reopen(): void
  /** Writes what is still buffered. */
  flush(): void
}

/**
 * Opens a logger on a file, or on standard output. What a full disk does not take waits until it does, and the log says
 * then how many lines there was no room for.
 * @param target  a path (created if missing, appended to) or 1 for standard output
 * @param level   lines below it are dropped
 */
export function openLog(target: string | 1, level: LogLevel = 'info'): LogFile {
  const sink = new LineSink(target, (dropped) =>
    logger.error('log lines were dropped: they could not be written', { dropped }),
  )
  const root = pino({ level, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime }, sink)
  const logger = fromPino(root)
  return {
    logger,
    reopen: () => {
      try {
        sink.reopen()
      } catch (error) {
        logger.error('a new log file could not be begun, the old one goes on', { error })
      }
    },
    flush: () => sink.flush(),
  }
}

function fromPino(line: pino.Logger): Logger {
  return {
    scope: (scope) => fromPino(line.child({ scope })),
    debug: (sentence, fields) => line.debug(readable(fields), sentence),
    info: (sentence, fields) => line.info(readable(fields), sentence),
    warn: (sentence, fields) => line.warn(readable(fields), sentence),
    error: (sentence, fields) => line.error(readable(fields), sentence),
  }
}

/** Pino serialises an Error only under its own key, `err`. */
function readable(fields: LogFields = {}): LogFields {
  if (!('error' in fields)) return fields
  const { error, ...rest } = fields
  return { ...rest, err: error }
}

/** Drops everything; for tests and tools that report by other means. */
export const silentLogger: Logger = {
  scope: () => silentLogger,
  debug() {},
  info() {},
  warn() {},
  error() {},
}
