// The root of all errors that Troop raises on purpose. One class per case that a caller treats differently;
// callers test `code`, never the text. docs/errors.md lists every code.

export interface ErrorOptions {
  /** What caused it, when an error crosses a folder. */
  readonly cause?: unknown
  /** A remedy that is a command or a setting, printed on a line of its own. */
  readonly hint?: string
  /** Whether the message may leave the node in an HTTP answer. Default false. */
  readonly expose?: boolean
}

export class TroopError extends Error {
  /** Stable, in kebab-case, e.g. `datastore-away`. */
  readonly code: string
  readonly hint: string | undefined
  readonly expose: boolean

  constructor(code: string, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    this.hint = options.hint
    this.expose = options.expose ?? false
  }
}

/** The message of anything that was thrown, its causes included, on one line. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const own = error.message || (error as NodeJS.ErrnoException).code || error.name
  // Node wraps refused connections to several addresses into one error without a message of its own.
  const causes =
    error instanceof AggregateError ? error.errors : error.cause === undefined ? [] : [error.cause]
  return [own, ...causes.map(describeError)].filter((text, i, all) => all.indexOf(text) === i).join(': ')
}

/** The code of anything that was thrown: ours, Node's or Postgres', if it has one. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' ? code : undefined
}
