// What an error of a connection to an upstream says about the upstream.
import { codeOf } from '../../base/errors.ts'
import type { UpstreamFailureReason } from '../errors.ts'

const byCode: Readonly<Record<string, UpstreamFailureReason>> = {
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'refused',
  ENETUNREACH: 'refused',
  ENOTFOUND: 'unresolved',
  ETIMEDOUT: 'connect-timeout',
  EMFILE: 'exhausted',
  ENFILE: 'exhausted',
  EADDRNOTAVAIL: 'exhausted',
}

/** @param isConnecting  whether there was no connection yet, the handshake of TLS included */
export function reasonOf(error: Error, isConnecting: boolean, encrypted: boolean): UpstreamFailureReason {
  const code = codeOf(error) ?? ''
  // Name servers refuse, and are too slow, by the same codes.
  if ('syscall' in error && String(error.syscall).startsWith('query')) return 'unresolved'
  const reason = byCode[code]
  if (reason) return reason
  const isReset = code === 'ECONNRESET' || code === 'EPIPE'
  if (encrypted && (/^ERR_(SSL|TLS)/.test(code) || (isConnecting && !isReset))) return 'tls'
  return 'broken'
}
