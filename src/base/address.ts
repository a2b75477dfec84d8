// host:port, as settings and replies write it.

import { isIPv4 } from 'node:net'

export interface Address {
  /** A name, an IPv4 address, or an IPv6 address without brackets. */
  readonly host: string
  /** 1 to 65535; 0 lets the system choose. */
  readonly port: number
}

/** Parses `host:port` or `[v6]:port`; undefined when `text` is neither. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text.trim())
  const port = Number(match?.[3])
  if (!match || port > 65535) return undefined
  return { host: (match[1] ?? match[2]) as string, port }
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Whether a listener on `host` can be reached from this machine only. */
export function isLoopback(host: string): boolean {
  // A name may begin with 127 too.
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}
