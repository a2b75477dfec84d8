// How a request is signed: what the header says, and what the signature is over.
import { isMac } from '../mac.ts'
import type { PluginRequest } from '../plugin.ts'

export interface Signed {
  readonly username: string
  /** What is signed, in order. */
  readonly headers: readonly string[]
  /** In base64. */
  readonly signature: string
}

/**
 * Reads `hmac username="…", algorithm="…", headers="…", signature="…"`, in this order, whatever comes before it; none
 * of them may be empty. The algorithm is always HMAC with SHA-1, whatever it says. Undefined for anything else.
 *
 * @param value  as received, each byte one char
 */
export function parseSignature(value: string): Signed | undefined {
  const parts = form.exec(value)?.groups
  if (!parts) return undefined
  const { username, headers, signature } = parts as Record<'username' | 'headers' | 'signature', string>
  return { username: Buffer.from(username, 'latin1').toString(), headers: headers.split(' '), signature }
}

// A value ends with its quote, so that the pattern takes no longer than the header is.
const form =
  /[Hh]mac\s*username="(?<username>[^"]+)",\s*algorithm="[^"]+",\s*headers="(?<headers>[^"]+)",\s*signature="(?<signature>[^"]+)"/

/** Whether the signature is what `secret` makes of `text`. */
export function isSigned(text: string, { signature }: Signed, secret: string): boolean {
  return isMac('sha1', secret, text, Buffer.from(signature, 'base64'))
}

/**
 * What is signed of the request, as it was received: a line for each header that is named, in order. `request-line` is that
 * of the request, unless it has such a header.
 */
export function signedText(incoming: PluginRequest['incoming'], { headers: names }: Signed): string {
  const { method, target, httpVersion, rawHeaders } = incoming
  const read = reader(rawHeaders, names.length)
  let text = ''
  for (const name of names) {
    const value = read(name.toLowerCase())
    if (text !== '') text += '\n'
    if (value !== undefined) text += `${name}: ${value}`
    else text += name === 'request-line' ? `${method} ${target} HTTP/${httpVersion}` : `${name}:`
  }
  return text
}

/** So many names are looked for one by one. Whoever names thousands does not have all headers read for each. */
const namesMax = 8

/** How values are read by lower-case names; what is given several times is one value. */
function reader(rawHeaders: readonly string[], nameCount: number): (name: string) => string | undefined {
  if (nameCount <= namesMax) return (name) => valueIn(rawHeaders, name)
  const values = joined(rawHeaders)
  return (name) => values.get(name)
}

function valueIn(rawHeaders: readonly string[], wanted: string): string | undefined {
  let value: string | undefined
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (name.length === wanted.length && (name === wanted || name.toLowerCase() === wanted))
      value = joinTo(value, rawHeaders[i + 1] as string)
  }
  return value
}

function joined(rawHeaders: readonly string[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>()
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase()
    values.set(name, joinTo(values.get(name), rawHeaders[i + 1] as string))
  }
  return values
}

function joinTo(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`
}
