// What can go wrong with a request, and what the client is told. HTTP statuses of proxied traffic are chosen
// here only.
import { STATUS_CODES } from 'node:http'
import { codeOf, TroopError } from '../base/errors.ts'
import type { Position } from '../base/stamp.ts'
import { Refusal } from '../plugins/plugin.ts'
import type { Answer } from './request.ts'

/** The upstream did not answer as it should have. `code` is `upstream-<kind>`. */
export class UpstreamFailed extends TroopError {
  readonly kind: 'invalid' | 'unavailable' | 'timeout'

  /**
   * @param kind  `invalid`: refused, unresolved, broke off or not HTTP; `timeout`: did not answer in time;
   *              `unavailable`: no connection to it is free
   */
  constructor(kind: UpstreamFailed['kind'], message: string, cause?: unknown) {
    super(`upstream-${kind}`, message, { cause })
    this.kind = kind
  }
}

/** A listener could not be opened. */
export class ListenFailed extends TroopError {
  constructor(address: string, cause: unknown) {
    const inUse = codeOf(cause) === 'EADDRINUSE'
    const hint = inUse ? 'stop what listens there, or choose another address' : undefined
    super('listen-failed', `cannot listen on ${address}`, { cause, ...(hint && { hint }) })
  }
}

/** A configuration names a plugin that this node does not have: its requests are refused, never let through. */
export class PluginMissing extends TroopError {
  readonly plugin: string

  constructor(plugin: string) {
    super('plugin-missing', `the plugin ${plugin} is configured but not installed on this node`, {
      hint: `install it and name it in custom_plugins, or disable its configurations`,
    })
    this.plugin = plugin
  }
}

/** A request asked for a position of the log that this node has not applied, and did not come to while it waited. */
export class PositionNotReached extends TroopError {
  constructor(position: Position) {
    super('position-not-reached', `position ${position} is not applied on this node`)
  }
}

/** This node has not been certain for longer than it may (`cluster.max_staleness`) that it misses nothing. */
export class NotFresh extends TroopError {
  constructor() {
    super('not-fresh', 'this node cannot tell whether what it knows is up to date')
  }
}

const texts: Readonly<Record<number, string>> = {
  500: 'An unexpected error occurred',
  502: 'An invalid response was received from the upstream server',
  503: 'The upstream server is currently unavailable',
  504: 'The upstream server is timing out',
}

const statusOfKind = { invalid: 502, unavailable: 503, timeout: 504 } as const

/** The page of §6.2 for a failed upstream, in the format that `accept` asks for. */
export function upstreamErrorPage(error: unknown, accept: string | undefined): Answer {
  const status = error instanceof UpstreamFailed ? statusOfKind[error.kind] : 500
  return errorPage(status, accept)
}

/** @param accept  the client's `Accept` header; tested by substring, in the contract's order */
export function errorPage(status: number, accept: string | undefined): Answer {
  const text = texts[status] ?? `The upstream server responded with ${status}`
  const [type, body] = formats(text).find(([type]) => accept?.includes(type)) ?? ['text/plain', text]
  return { status, body: `${body}\n`, headers: { 'Content-Type': type } }
}

function formats(text: string): [type: string, body: string][] {
  const title = 'Troop Error'
  return [
    [
      'text/html',
      `<!DOCTYPE html>\n<html>\n<head><title>${title}</title></head>\n<body>\n<h1>${title}</h1>\n<p>${text}.</p>\n</body>\n</html>`,
    ],
    ['application/json', JSON.stringify({ message: text })],
    ['application/xml', `<?xml version="1.0" encoding="UTF-8"?>\n<error><message>${text}</message></error>`],
  ]
}

/** No API has one of the hosts or a beginning of the path (§6.1). */
export function apiNotFound(path: string, hosts: readonly string[]): Answer {
  const message = 'API not found with these values'
  return { status: 404, body: { request_path: path, message, request_host: hosts } }
}

/** A request that can't be served as it stands: the reason phrase of `status` is all that is told. */
export function plainRefusal(status: number): Answer {
  return { status, body: { message: STATUS_CODES[status] ?? 'Error' } }
}

/** @param value  as received; what is longer than any number that makes sense is cut off */
export function minPositionInvalid(value: string): Refusal {
  const got = value.length > 40 ? `${value.slice(0, 40)}…` : value
  const expected = 'expected a non-negative integer, as X-Troop-Position of a write gives it'
  return new Refusal(400, `X-Troop-Min-Position: ${expected}, got "${got}"`)
}

/** A body that a plugin has to see whole, and that is larger than may be held. The rest of it is of no use to anybody. */
export const bodyTooLarge: Answer = {
  status: 413,
  body: { message: 'The body of the request is larger than can be held to look at it' },
  headers: { Connection: 'close' },
}

/** A plugin could not have the body that it asked for. */
export class BodyRefused extends Refusal {
  override readonly answer: Answer

  constructor(answer: Answer) {
    super(answer.status, 'the body is larger than may be held')
    this.answer = answer
  }
}

/** Something failed while it was decided what to do with the request: always JSON. */
export function resolutionFailed(error: unknown): Answer {
  if (error instanceof PositionNotReached) return comeAgain(`X-Troop-Min-Position: ${error.message} yet`)
  if (error instanceof NotFresh) return comeAgain('This node cannot tell whether what it knows is up to date')
  if (codeOf(error) !== 'unknown') return { status: 500, body: { message: texts[500] } }
  return comeAgain('The datastore cannot be asked, and what this request needs is not known without it')
}

function comeAgain(message: string): Answer {
  return { status: 503, body: { message }, headers: { 'Retry-After': '1' } }
}

/** The configuration changed under the request again and again. */
export const changedTooOften = comeAgain(
  'The configuration changes faster than this request could be decided',
)

export const robots: Answer = {
  status: 200,
  body: 'User-agent: *\nDisallow: /\n',
  headers: { 'Content-Type': 'text/plain' },
}
