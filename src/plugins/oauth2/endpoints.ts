// The two paths at which a client or the page of a provider asks for codes and tokens, and what is asked of everybody there.
import type { JsonObject, Row } from '../../base/json.ts'
import type { View } from '../../catalog/catalog.ts'
import { cameByHttps, forwardedProtos } from '../forwarded-proto.ts'
import type { PluginRequest } from '../plugin.ts'
import { type Fault, faults } from './answers.ts'
import { isSame } from './client.ts'
import type { Told } from './parameters.ts'
import type { Vault } from './vault.ts'

/** A request to an endpoint, with what it is decided by. */
export interface Ask {
  readonly request: PluginRequest
  readonly config: JsonObject
  readonly told: Told
  readonly catalog: View
  readonly vault: Vault
}

export type Endpoint = 'authorize' | 'token'

/** Undefined for a request that is for the upstream. The query string plays no part. */
export function endpointOf({ incoming, api }: PluginRequest): Endpoint | undefined {
  if (incoming.method !== 'POST') return undefined
  const [whole = ''] = incoming.target.split('?', 1)
  const path = whole.replace(/^https?:\/\/[^/]*/i, '')
  const [, name] = /^\/oauth2\/(authorize|token)\/?$/.exec(path.slice(prefixOf(api, path).length)) ?? []
  return name as Endpoint | undefined
}

/** An API with host and path has its endpoints at the root of the host, too. */
function prefixOf({ request_path: own }: Row, path: string): string {
  return typeof own === 'string' && path.startsWith(own) ? own.replace(/\/$/, '') : ''
}

/** What is wrong before anything else is looked at. */
export function faultOfRequest({ request, config, told }: Ask): Fault | undefined {
  return (
    faultOfTransport(request, config) ?? (told.fault === undefined ? undefined : faults.request(told.fault))
  )
}

function faultOfTransport(request: PluginRequest, config: JsonObject): Fault | undefined {
  if (request.incoming.encrypted) return undefined
  if (config.accept_http_if_already_terminated !== true) return faults.notHttps
  if (forwardedProtos(request).length > 1) return faults.severalProtos
  return cameByHttps(request) ? undefined : faults.notHttps
}

/** Whoever vouches for a user has the key of this API. */
export function faultOfUser(ask: Ask): Fault | undefined {
  if (!hasProvisionKey(ask)) return faults.provisionKey
  return ask.told.values.authenticated_userid?.trim() ? undefined : faults.userId
}

export function hasProvisionKey({ config, told }: Ask): boolean {
  return isSame(told.values.provision_key, config.provision_key)
}

/** The scopes that are asked for, each once, or what is wrong with them. Where none are configured none are given. */
export function scopesOf({ config, told }: Ask): { readonly scope: string | null } | Fault {
  const available = config.scopes as readonly string[] | null | undefined
  const asked = available ? [...new Set(told.values.scope?.split(/\s+/).filter((name) => name !== ''))] : []
  const unknown = asked.find((name) => !available?.includes(name))
  if (unknown !== undefined) return faults.scope(unknown)
  if (asked.length === 0 && config.mandatory_scope === true) return faults.noScope
  return { scope: asked.length > 0 ? asked.join(' ') : null }
}
