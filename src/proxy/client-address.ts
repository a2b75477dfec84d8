// Who is calling, when proxies that we trust stand in between.
import { isIP } from 'node:net'
import { AddressList, faultOfRange } from '../base/address-list.ts'
import { TroopError } from '../base/errors.ts'
import type { Headers } from './headers.ts'

/** @param headers  with `X-Forwarded-For`; only looked at when the peer is trusted */
export type ClientAddress = (peer: string, headers: Pick<Headers, 'all'>) => string

/**
 * Makes the rule for one list of trusted peers: from the right end of `X-Forwarded-For` the first address that
 * is not trusted, or the leftmost. What an untrusted peer says counts for nothing.
 * @param trusted  addresses and ranges, e.g. `10.0.0.0/8`, `::1`
 * @throws {TroopError} `trusted-ips` naming a value that is neither
 */
export function clientAddressRule(trusted: readonly string[]): ClientAddress {
  if (trusted.length === 0) return (peer) => plain(peer)
  const isTrusted = trustRule(trusted)
  return (peer, headers) => {
    let client = plain(peer)
    if (!isTrusted(client)) return client
    const claims = headers.all('x-forwarded-for').flatMap((value) => value.split(','))
    for (const claim of claims.reverse()) {
      const address = plain(withoutPort(claim.trim()))
      // Beyond something that is no address nobody can be trusted to have told the truth.
      if (isIP(address) === 0) return client
      client = address
      if (!isTrusted(client)) return client
    }
    return client
  }
}

/**
 * Tells whether an address, written plainly, is one of `trusted`.
 * @throws {TroopError} as `clientAddressRule`
 */
export function trustRule(trusted: readonly string[]): (address: string) => boolean {
  const wrong = trusted.find((text) => faultOfRange(text) !== undefined)
  if (wrong !== undefined) {
    throw new TroopError('trusted-ips', `trusted_ips: expected an address or a range, got "${wrong}"`, {
      hint: 'write 10.1.2.3, 10.0.0.0/8 or fd00::/8',
    })
  }
  const list = new AddressList(trusted)
  return (address) => list.has(address)
}

/** An IPv4 address that came through an IPv6 socket is written as IPv4; a zone is dropped. */
function plain(address: string): string {
  // As most are.
  if (!address.includes(':') && !address.includes('%')) return address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  return mapped?.[1] ?? address.split('%', 1)[0] ?? ''
}

/** Some proxies write `1.2.3.4:5678` or `[::1]:5678`. */
function withoutPort(text: string): string {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(text)
  if (bracketed) return bracketed[1] as string
  return /^\d+\.\d+\.\d+\.\d+:\d+$/.test(text) ? text.slice(0, text.indexOf(':')) : text
}
