// A node:https server as the listener for TLS needs it: which versions, which certificate, for how long a handshake may
// take, and whether HTTP/2 is offered. What it serves is otherwise as without TLS.
import { constants } from 'node:crypto'
import https, { type Server } from 'node:https'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'
import type { KeyPair } from '../../plugins/plugin.ts'

/** The context for a server name; undefined for the listener's own certificate. What it throws ends the handshake. */
export type ContextFor = (
  serverName: string,
) => SecureContext | undefined | Promise<SecureContext | undefined>

export interface TlsOptions {
  readonly pair: KeyPair
  /** Default: `pair` for all names. Not asked by clients that name none. */
  readonly contextFor?: ContextFor
  /** 48 random bytes: threads that share them resume each other's sessions. Default: the thread's own. */
  readonly ticketKeys?: Buffer
  /** From accepting a connection to the end of its handshake. Default 10,000. */
  readonly handshakeTimeoutMs?: number
  /** Whether clients are offered HTTP/2. Default true. */
  readonly http2?: boolean
}

/** Opens no port yet. */
export function createTlsServer(
  http: https.ServerOptions,
  { pair, contextFor, ticketKeys, handshakeTimeoutMs = 10_000, http2 = true }: TlsOptions,
): Server {
  const server = https.createServer({
    ...http,
    ...contextOptions(pair),
    // What a client may offer; one that offers nothing of it is refused. Node's own list has no HTTP/1.0.
    ALPNProtocols: [...(http2 ? ['h2'] : []), 'http/1.1', 'http/1.0'],
    ...(ticketKeys && { ticketKeys }),
    ...(contextFor && { SNICallback: sniCallback(contextFor) }),
    handshakeTimeout: handshakeTimeoutMs,
  })
  // It would take a failed handshake for a bad request, and answer it.
  server.removeAllListeners('tlsClientError')
  return server
}

/** From the next handshake on; sessions and connections go on. */
export function present(server: Server, pair: KeyPair): void {
  server.setSecureContext(contextOptions(pair))
}

/** @throws {Error} when the two are no pair */
export function contextOf(pair: KeyPair): SecureContext {
  return createSecureContext(contextOptions(pair))
}

function contextOptions({ certificate, key }: KeyPair): SecureContextOptions {
  return {
    cert: certificate,
    key,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    // A client could make the server do handshakes without end on one connection.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  }
}

function sniCallback(contextFor: ContextFor): https.ServerOptions['SNICallback'] {
  return (serverName, done) => {
    const chosen = contextFor(serverName)
    if (!(chosen instanceof Promise)) done(null, chosen)
    else chosen.then((context) => done(null, context), done)
  }
}
