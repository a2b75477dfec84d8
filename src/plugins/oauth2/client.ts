// Which application it is that asks, and whether it proves it (RFC 6749, 2.3.1).
import { isUtf8 } from 'node:buffer'
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Row } from '../../base/json.ts'
import type { Lookup, View } from '../../catalog/catalog.ts'
import type { PluginRequest } from '../plugin.ts'
import { oauth2Credential } from './application.ts'
import type { Told } from './parameters.ts'

type Pair = readonly [id: string, secret: string]

export interface ShownClient {
  /** What was sent may be read in several ways; at most one of them is right. */
  readonly pairs: readonly Pair[]
  /** In the header, so that a refusal is a challenge. */
  readonly byHeader: boolean
}

const byClientId = oauth2Credential.lookups[0] as Lookup

/** The parameters, if both are there, else the header. */
export function shownClient({ headers }: PluginRequest, { values }: Told): ShownClient {
  const { client_id: id, client_secret: secret } = values
  if (id !== undefined && secret !== undefined) return { pairs: [[id, secret]], byHeader: false }
  const basic = headers.all('Authorization').filter((value) => /^\s*basic\b/i.test(value))
  const [value] = basic
  return {
    pairs: value !== undefined && basic.length === 1 ? pairsOf(value) : [],
    byHeader: basic.length > 0,
  }
}

export async function clientById(id: string | undefined, catalog: View): Promise<Row | null> {
  return id === undefined ? null : catalog.one(oauth2Credential, byClientId, id)
}

/** The one that proves to be what it says, or null. */
export async function provenClient({ pairs }: ShownClient, catalog: View): Promise<Row | null> {
  for (const [id, secret] of pairs) {
    const client = await clientById(id, catalog)
    if (client && isSame(secret, client.client_secret)) return client
  }
  return null
}

/** In a time that does not tell how much of it is right. */
export function isSame(given: string | undefined, secret: unknown): boolean {
  if (given === undefined || typeof secret !== 'string' || secret === '') return false
  return timingSafeEqual(digest(given), digest(secret))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** Id and secret as they are, as clients of 0.8 send them, or encoded as in a form, as RFC 6749 has it. */
function pairsOf(header: string): Pair[] {
  const encoded = /^\s*basic\s+([A-Za-z0-9+/]+=*)\s*$/i.exec(header)?.[1]
  const bytes = Buffer.from(encoded ?? '', 'base64')
  const [, id, secret] = /^([^:]+):(.*)$/s.exec(isUtf8(bytes) ? bytes.toString() : '') ?? []
  if (id === undefined || secret === undefined) return []
  const decoded: Pair = [decode(id), decode(secret)]
  return decoded[0] === id && decoded[1] === secret ? [[id, secret]] : [[id, secret], decoded]
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}
