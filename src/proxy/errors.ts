// What can go wrong with a request, and what the client is told. HTTP statuses of proxied traffic are chosen
// here only.

import { codeOf, TroopError } from '../base/errors.ts'
import { http } from '../base/http.ts'
import type { Position } from '../base/stamp.ts'
import { Refusal } from '../plugins/plugin.ts'
import type { Answer } from './request.ts'

/** Why an upstream failed, and what that is to the client. Labels of a metric: they are only ever added to. */
export const upstreamFailures = {
  /** No connection to it: nobody listens there, or there is no way to it. */
  refused: 'invalid',
  /** Its name has no address, or that could not be found out. */
  unresolved: 'invalid',
  /** Nobody vouches for it, or it can't be agreed on how to encrypt. */
  tls: 'invalid',
  /** It closed the connection before its answer was whole. */
  broken: 'invalid',
  /** What it answers is not HTTP, or not what was asked for. */
  protocol: 'invalid',
  /** A plugin has to change its answer's body, and that is too large to be held, or coded as nothing that is known. */
  unchangeable: 'invalid',
  'connect-timeout': 'timeout',
  'send-timeout': 'timeout',
  'read-timeout': 'timeout',
  /** All connections that it may have were in use. */
  busy: 'unavailable',
  /** This node has no descriptor or port left for one. */
  exhausted: 'unavailable',
} as const

export type UpstreamFailureReason = keyof typeof upstreamFailures

export const upstreamFailureReasons = Object.keys(upstreamFailures) as UpstreamFailureReason[]

/** The upstream did not answer as it should have. `code` is `upstream-<kind>`. */
export class UpstreamFailed extends TroopError {
  readonly reason: UpstreamFailureReason
  readonly kind: (typeof upstreamFailures)[UpstreamFailureReason]

  constructor(reason: UpstreamFailureReason, message: string, cause?: unknown) {
    const kind = upstreamFailures[reason]
    super(`upstream-${kind}`, message, { cause })
    this.reason = reason
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

/** What a plugin threw where nobody but the log is to hear of it. */
export class PluginFailed extends TroopError {
  readonly plugin: string

  constructor(plugin: string, phase: 'open' | 'headers' | 'certificate', cause: unknown) {
    super('plugin-failed', `the plugin ${plugin} failed in its phase ${phase}`, { cause })
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
  return { status, body: { message: http.STATUS_CODES[status] ?? 'Error' } }
}

/**
 * Why what a client sends is not taken for a request, or no longer, and what it is told before its connection ends;
 * null where no answer is possible. The names are labels of a metric: they are only ever added to.
 */
const refusals = {
  syntax: [400, 'The request cannot be read'],
  framing: [400, 'Where the body ends is not said, or said in more than one way'],
  host: [400, 'Exactly one Host is needed, a name or an address'],
  target: [400, 'The request target has a fragment, a user, or no valid host'],
  method: [405, 'The method is not allowed'],
  'slow-head': [408, 'The header took too long'],
  'slow-upload': [408, 'The body came too slowly'],
  'chunk-extensions': [413, 'The chunk extensions are too long'],
  'long-line': [414, 'The request line is too long'],
  expectation: [417, 'The only expectation that can be met is 100-continue'],
  'large-head': [431, 'A header line, their number, or all of them together are too large'],
  coding: [501, 'The only transfer coding that is understood is chunked'],
  version: [505, 'The protocol is HTTP/1.1, or HTTP/1.0'],
  'slow-download': null,
  http2: null,
  'http2-flood': null,
  pipelined: null,
  connections: null,
} as const satisfies Record<string, readonly [status: number, message: string] | null>

export type RefusalReason = keyof typeof refusals

export const refusalReasons = Object.keys(refusals) as RefusalReason[]

/** RFC 9110, 15.5.6, wants them named. */
const allowed = { Allow: 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS' }

/** Always JSON: a client that can't be understood has said nothing of what it understands. */
export function refusalPage(reason: RefusalReason): Answer | undefined {
  const [status, message] = refusals[reason] ?? []
  if (status === undefined) return undefined
  return { status, body: { message }, ...(status === 405 && { headers: allowed }) }
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
  if (codeOf(error) === 'write-failed')
    return comeAgain('What this request changes cannot be written for now')
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

/** A gRPC server behind the gateway speaks nothing else, and what it says after a body has no place in HTTP/1.1. */
export const http2Needed: Answer = {
  status: 426,
  body: { message: 'Please use HTTP2 protocol' },
  headers: { Connection: 'Upgrade', Upgrade: 'HTTP/2' },
}

export const robots: Answer = {
  status: 200,
  body: 'User-agent: *\nDisallow: /\n',
  headers: { 'Content-Type': 'text/plain' },
}
