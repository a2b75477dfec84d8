import type { Row } from '../../base/json.ts'
import { copyOf, Remembered } from '../remembered.ts'
import { isSigned, parseSignature, type Signed } from './signature.ts'

/** Of the headers that a thread remembers: some ten thousand. What each signs takes as much again, or somewhat more. */
const charsMax = 4 * 1024 * 1024

/** Whoever signs more is verified each time: a header that is short may name one that is long. */
const signedCharsMax = 1024

interface Known extends Signed {
  /** What it is known to be the signature of, and by whose secret: another row comes with every change. */
  readonly of?: { readonly text: string; readonly credential: Row }
}

/**
 * Headers whose signature was found right: the requests of one second that sign the date alone all have the same. Whether
 * that date is near enough is another matter, which each request asks anew.
 */
export class KnownSignatures {
  readonly #known = new Remembered<Known>(charsMax)

  /** As `parseSignature`. */
  read(value: string): Known | undefined {
    return this.#known.get(value) ?? parseSignature(value)
  }

  /**
   * Whether the signature is what the secret of `credential` makes of `text`.
   * @param signed  what `read` made of `value`
   */
  isRight(value: string, signed: Known, text: string, credential: Row): boolean {
    if (signed.of?.credential === credential && signed.of.text === text) return true
    if (!isSigned(text, signed, String(credential.secret))) return false
    if (text.length <= signedCharsMax) this.#remember(copyOf(value), copyOf(text), credential)
    return true
  }

  #remember(value: string, text: string, credential: Row): void {
    // Read again, so that its parts are of the copy.
    const signed = parseSignature(value)
    if (signed) this.#known.set(value, { ...signed, of: { text, credential } })
  }
}
