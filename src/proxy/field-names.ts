// What the gateway has to do with a header field, told by its name alone, whatever its case.
import { minPositionHeader } from './headers.ts'

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
} as const

/**
 * Each name is looked at once. Clients choose them, so there is a bound, and no name keeps the head that it stood in:
 * some hundred kB.
 */
const known = new Map<string, FieldName>()
const knownMax = 2000
const knownCharsMax = 64

/** What is known of a name. */
interface FieldName {
  /** In lower case. */
  readonly lower: string
  /** The sum of its `kinds`. */
  readonly kinds: number
}

/** The sum of its `kinds`. */
export function kindsOf(name: string): number {
  return (known.get(name) ?? learn(name)).kinds
}

/** The name in lower case. */
export function lowerOf(name: string): string {
  return (known.get(name) ?? learn(name)).lower
}

function learn(name: string): FieldName {
  const own = Buffer.from(name, 'latin1').toString('latin1')
  // Of bytes alone; a plugin may make others.
  const isOfBytes = own === name
  const lower = (isOfBytes ? own : name).toLowerCase()
  const found = { lower, kinds: look(lower) }
  if (!isOfBytes || name.length > knownCharsMax) return found
  if (known.size >= knownMax) known.clear()
  known.set(own, found)
  return found
}

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
]
const byName = new Map<string, number>()
for (const [names, kind] of lists) for (const name of names) byName.set(name, (byName.get(name) ?? 0) | kind)
