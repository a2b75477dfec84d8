// The address by which other nodes reach this one.
import { isIPv4 } from 'node:net'
import type { NetworkInterfaceInfo } from 'node:os'
import type { Address } from '../../base/address.ts'

export interface Advertised {
  readonly address: Address
  /** Nothing but loopback was found: nodes on other machines can't reach this one. */
  readonly loopbackOnly: boolean
}

/**
 * `cluster.advertise` if it is set; else the host of `cluster_listen`; else, when that is every interface, the first
 * IPv4 address of this machine that is not loopback.
 *
 * @param interfaces  of `os.networkInterfaces()`, in the system's order
 */
export function advertisedAddress(
  advertise: Address | undefined,
  listen: Address,
  interfaces: Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>,
): Advertised {
  if (advertise) return { address: advertise, loopbackOnly: false }
  const { host, port } = listen
  if (host !== '0.0.0.0') return { address: listen, loopbackOnly: false }
  const all = Object.values(interfaces).flatMap((addresses) => addresses ?? [])
  const found = all.find(({ address, internal }) => !internal && isIPv4(address))
  return { address: { host: found?.address ?? '127.0.0.1', port }, loopbackOnly: found === undefined }
}
