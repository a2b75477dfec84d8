// What an answer of the gateway or a plugin is on the wire.
import { Headers } from './headers.ts'
import type { Answer } from './request.ts'

export function wordsOf(
  { body, headers: given = {} }: Answer,
  product: string,
): { body: Buffer; headers: Headers } {
  const headers = Headers.from(['Server', product])
  const text = typeof body === 'object' ? `${JSON.stringify(body)}\n` : (body ?? '')
  if (typeof body === 'object') headers.set('Content-Type', 'application/json; charset=utf-8')
  else if (body !== undefined) headers.set('Content-Type', 'text/plain; charset=utf-8')
  for (const [name, value] of Object.entries(given)) headers.set(name, value)
  return { body: Buffer.from(text), headers }
}
