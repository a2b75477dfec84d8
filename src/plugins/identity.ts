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
  tell(request.headers, 'X-Consumer-ID', consumer.id)
  tell(request.headers, 'X-Consumer-Custom-ID', consumer.custom_id)
  tell(request.headers, 'X-Consumer-Username', consumer.username)
  tell(request.headers, 'X-Credential-Username', credential.username)
}

/** Sets a header for the upstream; what is no text has none. */
export function tell(headers: PluginHeaders, name: string, value: unknown): void {
  if (typeof value === 'string') headers.set(name, headerValue(value))
  else headers.remove(name)
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
