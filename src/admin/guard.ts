// Who may speak to the Admin API. A page on the web can make the browser of someone who is inside send requests
// to it: pages of other origins are refused, and so are names that an attacker's DNS may point at us (rebinding).
import { createHash, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'
import type { Middleware } from 'koa'
import { type Address, formatAddress, isLoopback } from '../base/address.ts'
import { AdminExposed, forbidden, unauthorized } from './errors.ts'

export interface GuardOptions {
  /** Where the Admin API listens, as configured: plain, and for HTTPS. */
  readonly listens: readonly Address[]
  /** This machine's name: others reach the Admin API by it. */
  readonly hostname: string
  /**
   * Bearer tokens, any of which is accepted; with none, whoever reaches the listener may do all. `name:token` names its
   * caller, who is recorded with what they change.
   */
  readonly tokens: readonly string[]
  /** Web origins whose pages may use the Admin API, `https://admin.example.com`. */
  readonly origins: readonly string[]
  /** Accepts a listener that others can reach although there is no token. */
  readonly insecure: boolean
}

/** Load balancers ask these, and have no token as a rule; what they learn is whether to send traffic here. */
const forProbes: ReadonlySet<string> = new Set(['/health', '/ready'])

const methods = 'GET,HEAD,PUT,PATCH,POST,DELETE'
const requestHeaders =
  'Content-Type, Authorization, If-Match, If-None-Match, Last-Event-ID, X-Request-ID, X-Troop-Wait'
const replyHeaders = 'ETag, X-Request-ID, X-Troop-Position, X-Troop-Applied, X-Troop-Lagging'

/**
 * Refuses foreign hosts and origins (403) and wrong tokens (401), and answers OPTIONS, which browsers send
 * without a token before they send the request itself.
 * @throws {AdminExposed} when the listener is open to other machines without a token
 */
export function createGuard(options: GuardOptions): Middleware {
  const { listens, tokens, insecure } = options
  const exposed = listens.find(({ host }) => !isLoopback(host))
  if (exposed && tokens.length === 0 && !insecure) throw new AdminExposed(formatAddress(exposed))
  const hosts = ownHosts(options)
  const keys = tokens.map(parseToken)

  return async (ctx, next) => {
    const host = ctx.get('Host')
    if (!isOwnHost(host, hosts, ctx.req.socket.localAddress)) {
      throw forbidden(`Host ${host} is not this Admin API; admin_api_origins lists other names of it`)
    }
    const origin = ctx.get('Origin')
    ctx.vary('Origin')
    if (origin !== '') {
      const own = origin.toLowerCase() === `${ctx.protocol}://${host}`.toLowerCase()
      if (!own && !options.origins.includes(origin)) {
        throw forbidden(`Origin ${origin} is not in admin_api_origins`)
      }
      ctx.set('Access-Control-Allow-Origin', origin)
      ctx.set('Access-Control-Expose-Headers', replyHeaders)
    }
    if (ctx.method === 'OPTIONS') {
      ctx.set('Access-Control-Allow-Methods', methods)
      ctx.set('Access-Control-Allow-Headers', requestHeaders)
      ctx.status = 204
      return
    }
    if (keys.length > 0 && !forProbes.has(ctx.path)) {
      const key = keyOf(ctx.get('Authorization'), keys)
      if (!key) throw unauthorized()
      ctx.state.caller = key.name
    }
    await next()
  }
}

function ownHosts({ listens, hostname, origins }: GuardOptions): ReadonlySet<string> {
  return new Set(
    ['localhost', ...listens.map(({ host }) => host), hostname, ...origins.map(hostOfOrigin)].map((host) =>
      host.toLowerCase(),
    ),
  )
}

function hostOfOrigin(origin: string): string {
  return URL.canParse(origin) ? unbracketed(new URL(origin).hostname) : origin
}

/** An IP address is ours when the connection came to it; no DNS is needed for it, and none can point at it. */
function isOwnHost(header: string, hosts: ReadonlySet<string>, localAddress = ''): boolean {
  // Only HTTP/1.0 may leave it out, which no browser speaks.
  if (header === '') return true
  const host = unbracketed(header.replace(/:\d*$/, '').replace(/\.$/, '').toLowerCase())
  if (hosts.has(host)) return true
  return isIP(host) > 0 && (isLoopback(host) || host === localAddress.replace(/^::ffff:/, ''))
}

function unbracketed(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1')
}

interface Key {
  readonly name: string | undefined
  readonly digest: Buffer
}

function parseToken(text: string): Key {
  const [, name, token = text] = /^([\w.-]+):(.+)$/.exec(text) ?? []
  return { name, digest: digest(token) }
}

/** Compares digests, all of them and each in constant time: how long it takes says nothing about a token. */
function keyOf(header: string, keys: readonly Key[]): Key | undefined {
  const token = digest(/^Bearer +(\S+) *$/i.exec(header)?.[1] ?? '')
  return keys.filter((key) => timingSafeEqual(key.digest, token))[0]
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
