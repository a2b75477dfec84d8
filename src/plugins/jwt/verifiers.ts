import type { Row } from '../../base/json.ts'
import { type Algorithm, isAlgorithm, type Verify, verifier } from './algorithms.ts'

const never: Verify = () => false

/**
 * How the tokens of a credential are verified. Made once for each row, as reading a key takes longer than verifying
 * by it; another row comes with every change, and the old one's goes with it.
 */
export class Verifiers {
  readonly #plain = new WeakMap<Row, Verify>()
  readonly #decoded = new WeakMap<Row, Verify>()

  of(credential: Row, isBase64: boolean): Verify {
    const known = isBase64 ? this.#decoded : this.#plain
    const made = known.get(credential)
    if (made) return made
    const verify = makeVerifier(credential, isBase64)
    known.set(credential, verify)
    return verify
  }
}

/** By the algorithm of the credential, never that of a token: it also decides which of its keys is used. */
function makeVerifier({ algorithm, secret, rsa_public_key }: Row, isBase64: boolean): Verify {
  if (!isAlgorithm(algorithm)) return never
  const text = isShared(algorithm) ? secret : rsa_public_key
  if (typeof text !== 'string') return never
  return verifier(algorithm, isBase64 ? fromBase64(text) : Buffer.from(text))
}

function isShared(algorithm: Algorithm): boolean {
  return algorithm.startsWith('HS')
}

/** Null for text that is none, of which the decoder would take a part. */
function fromBase64(text: string): Buffer | null {
  return /^[\w+/-]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : null
}
