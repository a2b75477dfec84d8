// How an authentication plugin says who calls: to the plugins after it, and to the upstream.
import type { Row } from '../base/json.ts'
import type { PluginHeaders, PluginRequest } from './plugin.ts'

/** Sets consumer and credential, and the identity headers; an attribute that is not set has no header. */
export function identify(request: PluginRequest, consumer: Row, credential: Row): void {
  request.consumer = consumer
  request.credential = credential
  tell(request.headers, 'X-Consumer-ID', consumer.id)
  tell(request.headers, 'X-Consumer-Custom-ID', consumer.custom_id)
  tell(request.headers, 'X-Consumer-Username', consumer.username)
}

function tell(headers: PluginHeaders, name: string, value: unknown): void {
  if (typeof value === 'string') headers.set(name, headerValue(value))
  else headers.remove(name)
}

/**
 * Any text as a header value: UTF-8, each byte one char. Control characters are percent-encoded, since left out
 * they would turn one name into another.
 */
export function headerValue(text: string): string {
  const bytes = Buffer.from(text, 'utf8').toString('latin1')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not pass
  return bytes.replace(/[\x00-\x1f\x7f]/g, (char) => encodeURIComponent(char))
}
