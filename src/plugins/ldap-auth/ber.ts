// As much of BER (X.690) as an LDAP message needs: definite lengths, and tags of one byte (RFC 4511, 5.1).

export interface Element {
  readonly tag: number
  readonly content: Buffer
}

export const tags = { integer: 0x02, text: 0x04, enumerated: 0x0a, sequence: 0x30 } as const

export function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  return Buffer.concat([Buffer.from([tag]), lengthOf(content), content])
}

/** @param value  not negative, below 2³¹ */
export function integer(value: number): Buffer {
  const bytes = [value >>> 24, value >>> 16, value >>> 8, value].map((byte) => byte & 0xff)
  // The shortest form whose first bit says that it is not negative.
  while (bytes.length > 1 && bytes[0] === 0 && (bytes[1] as number) < 0x80) bytes.shift()
  return element(tags.integer, Buffer.from(bytes))
}

export function text(value: string): Buffer {
  return element(tags.text, Buffer.from(value))
}

/**
 * How many bytes the element at the beginning of `bytes` has; undefined as long as that can't be told.
 * @throws {RangeError} when no element begins like this
 */
export function extentOf(bytes: Buffer): number | undefined {
  const first = bytes[1]
  if (first === undefined) return undefined
  if (first < 0x80) return 2 + first
  const count = first & 0x7f
  if (count === 0 || count > 4) throw new RangeError(`a length in ${count} bytes`)
  return bytes.length < 2 + count ? undefined : 2 + count + bytes.readUIntBE(2, count)
}

/** The elements that `bytes` holds one after the other. @throws {RangeError} when these are not all of it */
export function elementsOf(bytes: Buffer): readonly Element[] {
  const found: Element[] = []
  for (let rest = bytes; rest.length > 0; ) {
    const extent = extentOf(rest) ?? Number.POSITIVE_INFINITY
    if (extent > rest.length) throw new RangeError('an element ends beyond what holds it')
    const lengthBytes = (rest[1] as number) < 0x80 ? 1 : 1 + ((rest[1] as number) & 0x7f)
    found.push({ tag: rest[0] as number, content: rest.subarray(1 + lengthBytes, extent) })
    rest = rest.subarray(extent)
  }
  return found
}

/** @throws {RangeError} when it is none, or too large for a count of anything here */
export function numberOf({ content }: Element): number {
  if (content.length === 0 || content.length > 4) throw new RangeError(`a number in ${content.length} bytes`)
  return content.readIntBE(0, content.length)
}

function lengthOf({ length }: Buffer): Buffer {
  if (length < 0x80) return Buffer.from([length])
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(length)
  const shortest = bytes.subarray(bytes.findIndex((byte) => byte !== 0))
  return Buffer.concat([Buffer.from([0x80 | shortest.length]), shortest])
}
