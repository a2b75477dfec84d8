// An elliptic signature is two numbers. JOSE writes them side by side (RFC 7518, 3.4), OpenSSL reads them as ASN.1 in DER.

/**
 * The signature in DER; undefined where it is not as long as two numbers of the curve.
 * @param numberBytes  of each of the two, as the curve has them: 32, 48 or 66
 */
export function toDer(signature: Buffer, numberBytes: number): Buffer | undefined {
  if (signature.length !== 2 * numberBytes) return undefined
  const body = Buffer.concat([
    integer(signature.subarray(0, numberBytes)),
    integer(signature.subarray(numberBytes)),
  ])
  // A length of more than 127 takes a byte more, which says that.
  const head = body.length < 0x80 ? [sequenceTag, body.length] : [sequenceTag, 0x81, body.length]
  return Buffer.concat([Buffer.from(head), body])
}

const sequenceTag = 0x30
const integerTag = 0x02

/** As short as it can be, and never negative: a first bit that is set has a zero before it. */
function integer(number: Buffer): Buffer {
  let start = 0
  while (start < number.length - 1 && number[start] === 0) start++
  const digits = number.subarray(start)
  const sign = (digits[0] as number) >= 0x80 ? [0] : []
  return Buffer.from([integerTag, sign.length + digits.length, ...sign, ...digits])
}
