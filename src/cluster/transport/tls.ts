// TLS 1.3 between nodes, with a pre-shared key and no certificates (RFC 8446 section 2.2; Node's docs, "Pre-shared keys").
import {
  type ConnectionOptions,
  connect,
  createServer,
  type PeerCertificate,
  type Server,
  type TLSSocket,
} from 'node:tls'
import type { Address } from '../../base/address.ts'
import type { ClusterKey, ClusterKeys } from './keys.ts'

/**
 * A pre-shared key is bound to the hash of its suite, and OpenSSL takes those that are given to it for SHA-256: with
 * a suite of SHA-384 the handshake fails.
 */
const suites = {
  minVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:PSK',
} satisfies ConnectionOptions

/** Before the key's id in what a dialler says in the clear, so that a later scheme can be told apart. */
const identityPrefix = 'troop1/'

export interface PskServerEvents {
  /** The handshake is done, and it was done with one of the keys. */
  trusted(socket: TLSSocket): void
  /** The handshake failed. */
  refused(socket: TLSSocket, reason: 'wrong-key' | 'no-handshake'): void
}

/**
 * A server of handshakes that has no certificate. It does not listen: give it sockets by `emit('connection', socket)`.
 */
export function createPskServer(keys: ClusterKeys, events: PskServerEvents): Server {
  const byIdentity = new Map(keys.map((key) => [identityPrefix + key.id, key.secret]))
  /** Which sockets named a key of ours, and which one that is not. */
  const named = new WeakMap<TLSSocket, 'known' | 'unknown'>()
  const server = createServer({
    ...suites,
    pskCallback(socket, identity) {
      const secret = byIdentity.get(identity)
      named.set(socket, secret ? 'known' : 'unknown')
      return secret ?? null
    },
  })
  server.on('tlsClientError', (error, socket) => {
    const isKeyWrong = named.get(socket) === 'unknown' || codeText(error).includes('BINDER_DOES_NOT_VERIFY')
    events.refused(socket, isKeyWrong ? 'wrong-key' : 'no-handshake')
    socket.destroy()
  })
  server.on('secureConnection', (socket) => {
    // A session ticket lets its holder in without showing a key, and may be older than the key's removal.
    if (named.get(socket) === 'known') return events.trusted(socket)
    events.refused(socket, 'wrong-key')
    socket.destroy()
  })
  return server
}

/**
 * Dials. The server proves that it has the key, or the handshake fails; check `isPsk` once it is done all the same.
 */
export function connectPsk(address: Address, key: ClusterKey): TLSSocket {
  const socket = connect({
    ...address,
    ...suites,
    pskCallback: () => ({ psk: key.secret, identity: identityPrefix + key.id }),
    // A server that ignores the key may show a certificate instead. Node would be content with one that any
    // authority has signed, NODE_EXTRA_CA_CERTS included, if this said yes, as it is usually told to for keys.
    ca: [],
    rejectUnauthorized: true,
    checkServerIdentity: refuseCertificates,
  })
  return socket.setNoDelay(true)
}

/** Whether the handshake was done with the key. OpenSSL counts that as a resumption, which no certificate is. */
export function isPsk(socket: TLSSocket): boolean {
  return socket.authorized && socket.isSessionReused() && socket.getPeerX509Certificate() === undefined
}

/** Whether a failed dial failed because the other end has another key, or none. */
export function isTrustFailure(error: unknown): boolean {
  return (
    error instanceof CertificateShown ||
    /^(ERR_SSL_|ERR_TLS_|DEPTH_|SELF_|UNABLE_|CERT_)/.test(codeText(error))
  )
}

class CertificateShown extends Error {
  constructor() {
    super('it shows a certificate instead of the key')
  }
}

function refuseCertificates(_host: string, certificate: PeerCertificate): Error | undefined {
  return Object.keys(certificate ?? {}).length > 0 ? new CertificateShown() : undefined
}

function codeText(error: unknown): string {
  return String((error as { code?: unknown } | undefined)?.code ?? '')
}
