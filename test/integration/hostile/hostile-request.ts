// What a hostile request is, as data, and words to write many of them shortly.

/** What the upstream is to see of one request. */
export interface Passed {
  /** Method and target. */
  readonly line: string
  readonly body?: string
  /** Fields that it has, each `Name: value`. */
  readonly has?: readonly string[]
  /** Names in lower case that it has not. */
  readonly lacks?: readonly string[]
  /** False: it was begun, and broken off before it could be taken for whole. */
  readonly whole?: boolean
}

export interface HostileRequest {
  readonly name: string
  /** Each character is a byte. */
  readonly bytes: string
  /** Of the answers, in order; 0: none is possible, the connection just ends. */
  readonly statuses: readonly number[]
  readonly passed: readonly Passed[]
  /** Whether the gateway closes the connection by itself. */
  readonly closes: boolean
}

export interface HostileClass {
  readonly title: string
  readonly requests: readonly HostileRequest[]
}

/** Refused: nothing reaches the upstream, and nothing more is read from this client. */
export function refused(name: string, bytes: string, status = 400): HostileRequest {
  return { name, bytes, statuses: [status], passed: [], closes: true }
}

/** Answered by the gateway as any request is: nothing reaches the upstream, and the connection goes on. */
export function answered(name: string, bytes: string, status: number): HostileRequest {
  return { name, bytes, statuses: [status], passed: [], closes: false }
}

/** Let through. */
export function passes(name: string, bytes: string, ...passed: readonly (Passed | string)[]): HostileRequest {
  const all = passed.map((one) => (typeof one === 'string' ? { line: one } : one))
  return { name, bytes, statuses: all.map(() => 200), passed: all, closes: false }
}

/** Refused when it had begun to go upstream, where it never comes to an end. */
export function brokenOff(name: string, bytes: string, line: string, status = 400): HostileRequest {
  return { name, bytes, statuses: [status], passed: [{ line, whole: false }], closes: true }
}

export function closing(request: HostileRequest): HostileRequest {
  return { ...request, closes: true }
}

const host = 'Host: test'

/** A GET with these header lines. */
export function get(...lines: readonly string[]): string {
  return head('GET / HTTP/1.1', host, ...lines)
}

/** A POST with these header lines and this body, none of them made for each other. */
export function post(lines: readonly string[], body = ''): string {
  return head('POST / HTTP/1.1', host, ...lines) + body
}

/** A POST whose body says itself where it ends. */
export function chunked(body: string, ...lines: readonly string[]): string {
  return post(['Transfer-Encoding: chunked', ...lines], body)
}

/** Lines, each with its end, and the empty line. */
export function head(...lines: readonly string[]): string {
  return `${lines.join('\r\n')}\r\n\r\n`
}
