// What whoever ended TLS before us says of how the client came.
import type { PluginRequest } from './plugin.ts'

/** All words that were said; of several at least one is somebody else's. */
export function forwardedProtos({ headers }: PluginRequest): readonly string[] {
  return headers.all('x-forwarded-proto')
}

export function cameByHttps(request: PluginRequest): boolean {
  const [proto, ...others] = forwardedProtos(request)
  return others.length === 0 && proto?.toLowerCase() === 'https'
}
