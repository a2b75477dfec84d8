// Addresses and ranges of them, of both families, and whether an address is among them.
import { BlockList, isIP } from 'node:net'

/** `10.1.2.3`, `10.0.0.0/8`, `fd00::/8`. */
interface Range {
  readonly address: string
  readonly family: 'ipv4' | 'ipv6'
  /** Leading bits that have to agree. */
  readonly bits: number
}

/** What keeps `text` from being an address or a range; undefined for one. */
export function faultOfRange(text: string): string | undefined {
  const range = parseRange(text)
  return typeof range === 'string' ? range : undefined
}

export class AddressList {
  readonly #list = new BlockList()

  /** @throws {TypeError} naming the one that `faultOfRange` has something to say of */
  constructor(ranges: readonly string[]) {
    for (const text of ranges) {
      const range = parseRange(text)
      if (typeof range === 'string') throw new TypeError(`cannot parse '${text}': ${range}`)
      this.#list.addSubnet(range.address, range.bits, range.family)
    }
  }

  /** @param address  as text; an IPv4 address that is written as IPv6 (`::ffff:10.1.2.3`) is the same */
  has(address: string): boolean {
    const family = isIP(address)
    return family !== 0 && this.#list.check(address, family === 6 ? 'ipv6' : 'ipv4')
  }
}

/** @returns  what is wrong with `text`, where it is none */
function parseRange(text: string): Range | string {
  const [address = '', bits, more] = text.trim().split('/')
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
  if (isIP(address) === 0 || more !== undefined) return 'Invalid IP'
  const most = family === 'ipv6' ? 128 : 32
  if (bits === undefined) return { address, family, bits: most }
  const valid = /^\d{1,3}$/.test(bits) && Number(bits) <= most
  return valid ? { address, family, bits: Number(bits) } : `Invalid prefix: /${bits}`
}
