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
 * What is signed of the request, as it was received: the value of each header that is named, in order; undefined of one that it
 * has not. Last, where the name `request-line` is no header of it: that line.
 */
export function signedValues(
  incoming: PluginRequest['incoming'],
  { headers: names }: Signed,
): (string | undefined)[] {
  const read = reader(incoming, names.length)
  const values: (string | undefined)[] = []
  let isLineSigned = false
  for (const name of names) {
    const value = read(name.toLowerCase())
    values.push(value)
    if (value === undefined && name === requestLine) isLineSigned = true
  }
  if (isLineSigned) values.push(`${incoming.method} ${incoming.target} HTTP/${incoming.httpVersion}`)
  return values
}

/** The text that the signature is over, of what `signedValues` found: a line for each name. */
export function signedText({ headers: names }: Signed, values: readonly (string | undefined)[]): string {
  const line = (name: string, i: number) => {
    if (values[i] !== undefined) return `${name}: ${values[i]}`
    return name === requestLine ? values[names.length] : `${name}:`
  }
  return names.map(line).join('\n')
}

const requestLine = 'request-line'

/** So many names are looked for one by one. Whoever names thousands does not have all headers read for each. */
const namesMax = 8

/** How values are read by lower-case names; what is given several times is one value. */
function reader(
  { headers }: PluginRequest['incoming'],
  nameCount: number,
): (name: string) => string | undefined {
  if (nameCount > namesMax) {
    const values = headers.toObject()
    return (name) => values[name]
  }
  return (name) => {
    const values = headers.all(name)
    return values.length > 1 ? values.join(', ') : values[0]
  }
}
