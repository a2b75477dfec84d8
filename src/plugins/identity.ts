// How an authentication plugin says who calls: to the plugins after it, and to the upstream.
import type { Row } from '../base/json.ts'
import type { Lookup, View } from '../catalog/catalog.ts'
import { consumer as consumerEntity } from '../entities/consumer.ts'
import { andThen, type PluginHeaders, type PluginRequest, type Refusal } from './plugin.ts'

const consumerById = consumerEntity.lookups[0] as Lookup

/**
 * Lets the request pass as its consumer's whom the credential belongs to.
 *
 * @param gone  what to say when there is none: credential and consumer go together, but may have gone between the
 *              two lookups
 */
export function identifyOwner(
  request: PluginRequest,
  credential: Row,
  catalog: View,
  gone: () => Refusal,
): undefined | Promise<undefined> {
  const found = catalog.one(consumerEntity, consumerById, credential.consumer_id as string)
  return andThen(found, (consumer) => {
    if (!consumer) throw gone()
    identify(request, consumer, credential)
    return undefined
  })
}

/** Lets the request pass as of a credential that is no consumer's. */
export function identifyAlone(request: PluginRequest, credential: Row): void {
  request.credential = credential
  tell(request.headers, 'X-Credential-Username', credential.username)
}

/** Sets consumer and credential, and the identity headers; an attribute that is not set has no header. */
function identify(request: PluginRequest, consumer: Row, credential: Row): void {
  request.consumer = consumer
  request.credential = credential
  const { id, customId, username } = namesOf(consumer)
  put(request.headers, 'X-Consumer-ID', id)
  put(request.headers, 'X-Consumer-Custom-ID', customId)
  put(request.headers, 'X-Consumer-Username', username)
  tell(request.headers, 'X-Credential-Username', credential.username)
}

/** What a consumer is called, as headers say it; undefined: it is not. */
interface Names {
  readonly id: string | undefined
  readonly customId: string | undefined
  readonly username: string | undefined
}

/** Spelled once for each row. */
const known = new WeakMap<Row, Names>()

function namesOf(consumer: Row): Names {
  let names = known.get(consumer)
  if (!names) {
    const { id, custom_id, username } = consumer
    names = { id: spelled(id), customId: spelled(custom_id), username: spelled(username) }
    known.set(consumer, names)
  }
  return names
}

/** Sets a header for the upstream; what is no text has none. */
export function tell(headers: PluginHeaders, name: string, value: unknown): void {
  put(headers, name, spelled(value))
}

function put(headers: PluginHeaders, name: string, value: string | undefined): void {
  if (value === undefined) headers.remove(name)
  else headers.set(name, value)
}

function spelled(value: unknown): string | undefined {
  return typeof value === 'string' ? headerValue(value) : undefined
}

/**
 * Any text as a header value: UTF-8, each byte one char. Control characters are percent-encoded, since left out
 * they would turn one name into another.
 */
export function headerValue(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text
  const bytes = Buffer.from(text, 'utf8').toString('latin1')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not pass
  return bytes.replace(/[\x00-\x1f\x7f]/g, (char) => encodeURIComponent(char))
}
