import { copyOf, Remembered } from '../remembered.ts'
import type { Verify } from './algorithms.ts'
import { isSigned, KnownHeaders, parseToken, type Token } from './token.ts'

/** Of the tokens that a thread remembers, and as many again of what showed them: some ten thousand. Their claims take several times as much. */
const charsMax = 2 * 1024 * 1024

interface Known extends Token {
  /** By what its signature is right: the verifier of one row, and of no other. */
  verifiedBy: Verify | undefined
}

/**
 * Tokens whose signature was found right, so that those that come again are neither read nor verified again. When a token
 * begins and ends is another matter, which each request asks anew.
 */
export class KnownTokens {
  readonly #headers = new KnownHeaders()
  readonly #known = new Remembered<Known>(charsMax)
  /** By the whole field in which they came. */
  readonly #shown = new Remembered<Known>(charsMax)

  /** @throws {BadToken} as `parseToken` */
  read(text: string): Known {
    return this.#known.get(text) ?? { ...parseToken(text, this.#headers), verifiedBy: undefined }
  }

  /** The token that a field was found to have, whoever signed it. */
  shownBy(field: string): Known | undefined {
    return this.#shown.get(field)
  }

  /** `field` has `token`, whose signature was right. */
  wasShown(field: string, token: Known): void {
    const known = this.#known.get(token.text)
    if (known) this.#shown.set(copyOf(field), known)
  }

  /** @param token  as `read` gave it */
  isSigned(token: Known, verify: Verify): boolean {
    if (token.verifiedBy === verify) return true
    if (!isSigned(token, verify)) return false
    token.verifiedBy = verify
    if (this.#known.get(token.text) !== token) {
      const text = copyOf(token.text)
      this.#known.set(text, { ...token, text })
    }
    return true
  }
}
