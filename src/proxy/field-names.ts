// What the gateway has to do with a header field, told by its name alone.

/**
 * `X-Troop-Min-Position: <n>` asks this node to answer once it has applied n. It is the gateway's own and goes no
 * further, since positions of another cluster's log say nothing.
 */
export const minPositionHeader = 'x-troop-min-position'

/** Each is a bit: a name may be of several kinds. */
export const kinds = {
  /** Concerns one connection alone, and ends at the gateway (RFC 9110, 7.6.1). */
  hop: 1,
  /** Says who calls. Only the gateway may tell the upstream. */
  identity: 2,
  /** An upstream which can't tell `_` from `-` takes it for one of those that the gateway sets. */
  lookalike: 4,
  /** Said to the gateway itself. `Expect` is: it asks for the body, once it knows that it wants it. */
  toGateway: 8,
  /** What the gateway tells the upstream of the client at last, so that nobody can say it differently. */
  told: 16,
  forwardedFor: 32,
  forwardedPrefix: 64,
  contentLength: 128,
  trailer: 256,
  /** Frames, routes or identifies: some servers merge trailers with the fields before. */
  notInTrailers: 512,
  connection: 1024,
  keepAlive: 2048,
  transferEncoding: 4096,
  upgrade: 8192,
  date: 16_384,
  host: 32_768,
  hostOverride: 65_536,
  /** Speaks of other codings and protocols, or asks whether the body is wanted: for node:http to read. */
  ordinary: 131_072,
} as const

/**
 * Each name is looked at once. Clients choose them, so there is a bound, and no name keeps the head that it stood in:
 * some hundred kB.
 */
const known = new Map<string, FieldName>()
const knownMax = 2000
const knownCharsMax = 64

/** What is known of a name. */
export interface FieldName {
  readonly text: string
  readonly lower: string
  /** The sum of its `kinds`. */
  readonly kinds: number
  /** Whether it can be one (RFC 9110, 5.6.2). */
  readonly isToken: boolean
  /** What was said by it last, and how it was written: many names say the same each time. */
  lastValue: string | undefined
  lastLine: string
}

export function nameOf(text: string): FieldName {
  return known.get(text) ?? learn(text)
}

/** The sum of its `kinds`. */
export function kindsOf(name: string): number {
  return nameOf(name).kinds
}

function learn(text: string): FieldName {
  const own = Buffer.from(text, 'latin1').toString('latin1')
  // Of bytes alone; a plugin may make others.
  const isOfBytes = own === text
  const lower = (isOfBytes ? own : text).toLowerCase()
  const found = {
    text: isOfBytes ? own : text,
    lower,
    kinds: look(lower),
    isToken: token.test(text),
    lastValue: undefined,
    lastLine: '',
  }
  if (!isOfBytes || text.length > knownCharsMax) return found
  if (known.size >= knownMax) known.clear()
  known.set(own, found)
  return found
}

/** Those that were read lately, each in the place that its bytes give it; whoever comes there next takes it. */
const read: (FieldName | undefined)[] = new Array(1024).fill(undefined)

/** What `nameIn` has to know of the bytes, one after the other; it begins with 0. */
export function hashed(hash: number, byte: number): number {
  return (Math.imul(hash, 31) + byte) | 0
}

/** The name in `bytes`, of which no text is made if it was read before. */
export function nameIn(bytes: Uint8Array, from: number, to: number, hash: number): FieldName {
  const place = hash & (read.length - 1)
  const before = read[place]
  if (before !== undefined && isIn(before.text, bytes, from, to)) return before
  const found = nameOf(Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1'))
  if (to - from <= knownCharsMax) read[place] = found
  return found
}

function isIn(text: string, bytes: Uint8Array, from: number, to: number): boolean {
  if (text.length !== to - from) return false
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== bytes[from + i]) return false
  return true
}

const token = /^[\w!#$%&'*+.^`|~-]+$/

function look(lower: string): number {
  let found = byName.get(lower) ?? 0
  if (identity.test(lower)) found |= kinds.identity
  if (lower.includes('_') && lookedLike.has(lower.replaceAll('_', '-'))) found |= kinds.lookalike
  return found
}

/** With `_` for `-` too: many servers can't tell the two apart (RFC 3875, 4.1.18). */
const identity = /^x[-_](?:consumer[-_].*|credential[-_]username|authenticated[-_](?:scope|userid|groups))$/

const hop = ['connection', 'proxy-connection', 'keep-alive', 'te', 'transfer-encoding', 'upgrade']
const told = ['host', 'x-real-ip', 'x-forwarded-for', 'x-forwarded-proto']
const notInTrailers = [
  ...['content-length', 'content-encoding', 'content-type', 'content-range', 'host', 'trailer', 'expect'],
  ...['authorization', 'proxy-authorization', 'cookie', 'set-cookie', 'cache-control', 'range'],
  ...['x-real-ip', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-prefix'],
  minPositionHeader,
]
const lookedLike = new Set([
  ...['content-length', 'transfer-encoding', ...told],
  ...['x-forwarded-host', 'x-forwarded-prefix', minPositionHeader],
])

const lists: readonly (readonly [names: readonly string[], kind: number])[] = [
  [hop, kinds.hop],
  [['expect', minPositionHeader], kinds.toGateway],
  [told, kinds.told],
  [['x-forwarded-for'], kinds.forwardedFor],
  [['x-forwarded-prefix'], kinds.forwardedPrefix],
  [['content-length'], kinds.contentLength],
  [['trailer'], kinds.trailer],
  [notInTrailers, kinds.notInTrailers],
  [['connection'], kinds.connection],
  [['keep-alive'], kinds.keepAlive],
  [['transfer-encoding'], kinds.transferEncoding],
  [['upgrade'], kinds.upgrade],
  [['date'], kinds.date],
  [['host'], kinds.host],
  [['x-host-override'], kinds.hostOverride],
  [['expect', 'upgrade', 'proxy-connection', 'transfer-encoding'], kinds.ordinary],
]
const byName = new Map<string, number>()
for (const [names, kind] of lists) for (const name of names) byName.set(name, (byName.get(name) ?? 0) | kind)
