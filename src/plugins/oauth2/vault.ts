// Codes and tokens into the datastore, and one for another.
import type { JsonObject, Row } from '../../base/json.ts'
import type { PluginHost, PluginRequest } from '../plugin.ts'
import { oauth2AuthorizationCode } from './code.ts'
import { oauth2Token, tokenLifetimeMs } from './token.ts'

/** Whose a code or a token is, and what for. */
export interface Grant {
  readonly client: Row
  readonly userId: string | null
  readonly scope: string | null
}

type Incoming = PluginRequest['incoming']

/**
 * Writes once for each request, however often its resolution starts over: what was given away, or made, the first time
 * is what it gets.
 */
export class Vault {
  readonly #host: PluginHost
  readonly #written = new WeakMap<Incoming, Promise<Row | null>>()

  constructor(host: PluginHost) {
    this.#host = host
  }

  /** @param redirectUri  where it is sent */
  makeCode(request: PluginRequest, config: JsonObject, grant: Grant, redirectUri: string): Promise<Row> {
    const { random, writer } = this.#host
    const values = {
      ...rowOf(grant),
      code: random.hex(16),
      api_id: apiOf(request, config),
      redirect_uri: redirectUri,
    }
    return this.#once(request, () => writer.insert(oauth2AuthorizationCode, values)) as Promise<Row>
  }

  /** @param renewable  whether it gets a refresh token, if it ends at all */
  makeToken(request: PluginRequest, config: JsonObject, grant: Grant, renewable: boolean): Promise<Row> {
    const { writer } = this.#host
    const values = { ...rowOf(grant), api_id: apiOf(request, config), ...this.#pair(config, renewable) }
    return this.#once(request, () => writer.insert(oauth2Token, values)) as Promise<Row>
  }

  /** Null for a code that is none, or is over, or was given to another client, API or redirect URI. */
  tokenForCode(
    request: PluginRequest,
    config: JsonObject,
    client: Row,
    code: { readonly code: string; readonly redirect_uri?: string },
  ): Promise<Row | null> {
    const where = { ...code, credential_id: String(client.id), api_id: apiOf(request, config) }
    const values = this.#pair(config, true)
    return this.#once(request, () =>
      this.#host.writer.exchange(oauth2AuthorizationCode, where, oauth2Token, values),
    )
  }

  /** The pair that takes the place of another. Null for a token that is none, or another client's or API's. */
  renewed(
    request: PluginRequest,
    config: JsonObject,
    client: Row,
    refreshToken: string,
  ): Promise<Row | null> {
    const where = { refresh_token: refreshToken, credential_id: String(client.id) }
    const values = this.#pair(config, true)
    const exchange = (api_id: string | null) =>
      this.#host.writer.exchange(oauth2Token, { ...where, api_id }, oauth2Token, values)
    return this.#once(request, async () => (await exchange(String(request.api.id))) ?? exchange(null))
  }

  #pair(config: JsonObject, renewable: boolean): Row {
    const { random, clock } = this.#host
    const seconds = Number(config.token_expiration ?? 0)
    const ends = seconds > 0
    return {
      token_type: 'bearer',
      expires_in: seconds,
      access_token: random.hex(16),
      refresh_token: ends && renewable ? random.hex(16) : null,
      // Never before the access token is.
      expires_at: ends ? clock.now() + Math.max(tokenLifetimeMs, Math.ceil(seconds * 1000)) : null,
    }
  }

  #once({ incoming }: PluginRequest, write: () => Promise<Row | null>): Promise<Row | null> {
    const written = this.#written.get(incoming) ?? write()
    this.#written.set(incoming, written)
    return written
  }
}

function rowOf({ client, userId, scope }: Grant): Row {
  return { credential_id: client.id as string, authenticated_userid: userId, scope }
}

/** Where it counts; null: wherever the plugin is. */
function apiOf({ api }: PluginRequest, { global_credentials }: JsonObject): string | null {
  return global_credentials === true ? null : String(api.id)
}
