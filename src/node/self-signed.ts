// A certificate that vouches for itself, so that the TLS listener works before anybody has bought one. Node can read
// certificates and not make them: this writes the few fields of RFC 5280 that are needed, in DER.
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import type { KeyPair } from '../plugins/plugin.ts'

export interface SelfSignedOptions {
  /** Milliseconds since 1970. */
  readonly validFrom: number
  readonly validTo: number
  /** 16 random bytes in hex: two certificates of one issuer must differ in it. */
  readonly serial: string
}

/** As the contract has it, in order. */
const subject = [
  ['2.5.4.6', 'US'],
  ['2.5.4.8', 'California'],
  ['2.5.4.7', 'San Francisco'],
  ['2.5.4.10', 'Troop'],
  ['2.5.4.11', 'IT Department'],
  ['2.5.4.3', 'localhost'],
] as const

/** Makes a new key (P-256) and a certificate for localhost, its name and its addresses. */
export function makeSelfSigned(options: SelfSignedOptions): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certificate = certificateOf(options, publicKey, privateKey)
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${lines(certificate)}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

function certificateOf(
  { validFrom, validTo, serial }: SelfSignedOptions,
  publicKey: KeyObject,
  privateKey: KeyObject,
): Buffer {
  const ecdsaWithSha256 = sequence(oid('1.2.840.10045.4.3.2'))
  const body = sequence(
    field(0xa0, integer(Buffer.of(2))),
    // Its first byte makes it positive, whatever the others are.
    integer(Buffer.from(`01${serial}`, 'hex')),
    ecdsaWithSha256,
    name(),
    sequence(time(validFrom), time(validTo)),
    name(),
    publicKey.export({ type: 'spki', format: 'der' }),
    field(0xa3, sequence(...extensions())),
  )
  return sequence(body, ecdsaWithSha256, bits(sign('sha256', body, privateKey)))
}

/** Good for servers alone: whoever trusts it must not have to trust what its key could sign. */
function extensions(): Buffer[] {
  const names = sequence(
    field(0x82, Buffer.from('localhost')),
    field(0x87, Buffer.of(127, 0, 0, 1)),
    field(0x87, Buffer.concat([Buffer.alloc(15), Buffer.of(1)])),
  )
  const critical = field(0x01, Buffer.of(0xff))
  const serverAuth = sequence(oid('1.3.6.1.5.5.7.3.1'))
  return [
    sequence(oid('2.5.29.19'), critical, field(0x04, sequence())),
    sequence(oid('2.5.29.17'), field(0x04, names)),
    sequence(oid('2.5.29.37'), field(0x04, serverAuth)),
  ]
}

function name(): Buffer {
  // A country is a PrintableString, all else is UTF-8.
  const text = (type: string, value: string) => field(type === '2.5.4.6' ? 0x13 : 0x0c, Buffer.from(value))
  return sequence(...subject.map(([type, value]) => field(0x31, sequence(oid(type), text(type, value)))))
}

/** Up to 2049 with two digits for the year, from then on with four (RFC 5280, 4.1.2.5). */
function time(ms: number): Buffer {
  const digits = `${new Date(ms).toISOString().replaceAll(/[-:T]|\..*/g, '')}Z`
  return digits < '2050' ? field(0x17, Buffer.from(digits.slice(2))) : field(0x18, Buffer.from(digits))
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  return field(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

/** Seven bits a byte, the highest bit set in all but the last. */
function base128(number: number): number[] {
  const bytes = [number & 0x7f]
  for (let left = number >>> 7; left > 0; left >>>= 7) bytes.unshift((left & 0x7f) | 0x80)
  return bytes
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return field(0x30, Buffer.concat(parts))
}

function integer(bytes: Buffer): Buffer {
  return field(0x02, bytes)
}

function bits(bytes: Buffer): Buffer {
  return field(0x03, Buffer.concat([Buffer.of(0), bytes]))
}

/** Tag, length, content; a length from 128 on is told with the number of its own bytes. */
function field(tag: number, content: Buffer): Buffer {
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

function lines(der: Buffer): string {
  return (der.toString('base64').match(/.{1,64}/g) as string[]).join('\n')
}
