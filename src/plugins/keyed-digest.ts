// What stands in memory for a password: a digest that says nothing to whoever has no key, which lives as long as its thread.
import { hash } from 'node:crypto'
import type { Random } from '../base/random.ts'

/** As long as the digest: more would be no harder to guess. */
const keyBytes = 32

/**
 * SHA-256 over a key and what follows it. HMAC would do more: nobody can go on from a digest that he has to one of a
 * longer text. Nobody sees these, and it takes several times as long as a hash that Node makes in one call.
 */
export class KeyedDigest {
  readonly #key: string

  constructor(random: Random) {
    this.#key = random.hex(keyBytes)
  }

  /** In base64; of no other text, as far as anybody can find one. */
  of(text: string): string {
    return hash('sha256', this.#key + text, 'base64')
  }
}
