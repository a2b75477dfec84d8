import type { Row } from '../../base/json.ts'
import type { PluginRequest } from '../plugin.ts'
import { copyOf, Remembered } from '../remembered.ts'
import { isSigned, parseSignature, type Signed, signedText, signedValues } from './signature.ts'

/** Of the headers that a thread remembers: some ten thousand. What each signs takes as much again, or somewhat more. */
const charsMax = 4 * 1024 * 1024

/** Whoever signs more is verified each time: a header that is short may name one that is long. */
const signedCharsMax = 1024

type Values = readonly (string | undefined)[]

interface Known extends Signed {
  /** What it is known to be the signature of, and by whose secret: another row comes with every change. */
  readonly of?: { readonly values: Values; readonly credential: Row }
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
   * Whether the signature is what the secret of `credential` makes of the request.
   * @param signed  what `read` made of `value`
   */
  isRight(value: string, signed: Known, incoming: PluginRequest['incoming'], credential: Row): boolean {
    const values = signedValues(incoming, signed)
    if (signed.of?.credential === credential && areSame(signed.of.values, values)) return true
    const text = signedText(signed, values)
    if (!isSigned(text, signed, String(credential.secret))) return false
    if (text.length <= signedCharsMax) this.#remember(copyOf(value), values.map(own), credential)
    return true
  }

  #remember(value: string, values: Values, credential: Row): void {
    // Read again, so that its parts are of the copy.
    const signed = parseSignature(value)
    if (signed) this.#known.set(value, { ...signed, of: { values, credential } })
  }
}

function own(value: string | undefined): string | undefined {
  return value === undefined ? undefined : copyOf(value)
}

function areSame(one: Values, other: Values): boolean {
  if (one.length !== other.length) return false
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false
  return true
}
