// The algorithms by which tokens are signed (RFC 7518, 3.1), and how a signature is verified by each.
import { createPublicKey, createSecretKey, type KeyObject, verify as verifySignature } from 'node:crypto'
import { isMac } from '../mac.ts'
import { toDer } from './elliptic-signature.ts'

interface Family {
  readonly digest: 'sha256' | 'sha384' | 'sha512'
  /** What a public key has to be; none where both sides share a secret. */
  readonly key?: 'rsa' | 'prime256v1' | 'secp384r1' | 'secp521r1'
}

/** Never `none`. */
const algorithms = {
  HS256: { digest: 'sha256' },
  HS384: { digest: 'sha384' },
  HS512: { digest: 'sha512' },
  RS256: { digest: 'sha256', key: 'rsa' },
  RS384: { digest: 'sha384', key: 'rsa' },
  RS512: { digest: 'sha512', key: 'rsa' },
  ES256: { digest: 'sha256', key: 'prime256v1' },
  ES384: { digest: 'sha384', key: 'secp384r1' },
  ES512: { digest: 'sha512', key: 'secp521r1' },
} as const satisfies Readonly<Record<string, Family>>

export type Algorithm = keyof typeof algorithms
export const algorithmNames = Object.keys(algorithms) as readonly Algorithm[]

export function isAlgorithm(name: unknown): name is Algorithm {
  return typeof name === 'string' && Object.hasOwn(algorithms, name)
}

/** Whether `signature` is that of `signed`. */
export type Verify = (signed: string, signature: Buffer) => boolean

/**
 * How signatures are verified by one algorithm and one key. Throws nothing: a key that is none for this algorithm
 * verifies nothing, and neither does an empty one, with which anybody could sign.
 *
 * @param key  the shared secret, or the public key in PEM; null when it can't be told
 */
export function verifier(algorithm: Algorithm, key: Buffer | null): Verify {
  const family: Family = algorithms[algorithm]
  if (!key || key.length === 0) return () => false
  if (family.key === undefined) return sharedSecret(family, key)
  const publicKey = publicKeyOf(key, family.key)
  return publicKey ? signatureBy(family, publicKey) : () => false
}

function sharedSecret({ digest }: Family, secret: Buffer): Verify {
  const key = createSecretKey(secret)
  return (signed, signature) => isMac(digest, key, signed, signature)
}

function signatureBy({ digest, key: kind }: Family, key: KeyObject): Verify {
  const numberBytes = kind === undefined || kind === 'rsa' ? undefined : numberBytesOf[kind]
  return (signed, signature) => {
    const given = numberBytes === undefined ? signature : toDer(signature, numberBytes)
    // A key within options, where the form of signatures could be said, takes Node twice as long in all.
    return given !== undefined && verifySignature(digest, Buffer.from(signed), key, given)
  }
}

/** Of each of the two numbers of a signature (RFC 7518, 3.4). */
const numberBytesOf = { prime256v1: 32, secp384r1: 48, secp521r1: 66 } as const

function publicKeyOf(pem: Buffer, wanted: Family['key']): KeyObject | undefined {
  try {
    const key = createPublicKey(pem)
    const kind = key.asymmetricKeyType === 'ec' ? key.asymmetricKeyDetails?.namedCurve : key.asymmetricKeyType
    return kind === wanted ? key : undefined
  } catch {
    return undefined
  }
}
