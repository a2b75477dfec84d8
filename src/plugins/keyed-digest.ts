// What stands in memory for a password: a digest that says nothing to whoever has no key, which lives as long as its thread.
import type { Random } from '../base/random.ts'
import { type Hash, sipHash } from '../base/sip-hash.ts'

const keyBytes = 16

/**
 * SipHash, of 128 bits. It is made for short texts and keys that nobody has, and in JavaScript takes less than the call of
 * any hash that Node has, of which each makes work for the garbage collector besides.
 */
export class KeyedDigest {
  readonly #key: Int32Array
  readonly #halves: readonly [Hash, Hash] = [
    { low: 0, high: 0 },
    { low: 0, high: 0 },
  ]

  constructor(random: Random) {
    this.#key = keyOf(random)
  }

  /** Eight characters, of any kind, to be compared with others; of no other text, as far as anybody can find one. */
  of(text: string): string {
    const [one, other] = this.#halves
    sipHash(this.#key, text, one, other)
    return textOf(one) + textOf(other)
  }
}

/** A character takes 16 bits. */
function textOf({ low, high }: Hash): string {
  return String.fromCharCode(low & 0xffff, low >>> 16, high & 0xffff, high >>> 16)
}

function keyOf(random: Random): Int32Array {
  return new Int32Array(Uint8Array.from(Buffer.from(random.hex(keyBytes), 'hex')).buffer)
}
