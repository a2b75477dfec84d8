// SipHash-2-4 (Aumasson and Bernstein, 2012) of a text: who does not know the key can't find texts that hash alike. In
// JavaScript, since a call of node:crypto takes longer than the hashing of what a cache key has.

/** 64 bits, as two signed halves. */
export interface Hash {
  low: number
  high: number
}

/**
 * Hashes the text's UTF-16 code units, little-endian, so no two texts are one to it, whether they are Unicode or not.
 *
 * @param key   128 secret bits
 * @param hash  where the result goes: an object for each text would cost as much again
 */
export function sipHash(key: Int32Array, text: string, hash: Hash): void {
  const [k0 = 0, k1 = 0, k2 = 0, k3 = 0] = key
  // Four words of 64 bits as halves, in variables: an array would take five times as long.
  let a = k0 ^ 0x70736575
  let aa = k1 ^ 0x736f6d65
  let b = k2 ^ 0x6e646f6d
  let bb = k3 ^ 0x646f7261
  let c = k0 ^ 0x6e657261
  let cc = k1 ^ 0x6c796765
  let d = k2 ^ 0x79746573
  let dd = k3 ^ 0x74656462
  let half = 0
  const last = text.length >> 2
  // After the last word of the text, which holds its length too, comes one round of four that takes nothing in.
  for (let word = 0; word <= last + 1; word++) {
    const low = word > last ? 0 : unit(text, word * 4) | (unit(text, word * 4 + 1) << 16)
    const end = word === last ? (text.length * 2) << 24 : 0
    const high = word > last ? 0 : unit(text, word * 4 + 2) | (unit(text, word * 4 + 3) << 16) | end
    if (word > last) c ^= 0xff
    d ^= low
    dd ^= high
    for (let round = word > last ? 4 : 2; round > 0; round--) {
      aa = (aa + bb + carry(a, b)) | 0
      a = (a + b) | 0
      half = ((b << 13) | (bb >>> 19)) ^ a
      bb = ((bb << 13) | (b >>> 19)) ^ aa
      b = half
      cc = (cc + dd + carry(c, d)) | 0
      c = (c + d) | 0
      half = ((d << 16) | (dd >>> 16)) ^ c
      dd = ((dd << 16) | (d >>> 16)) ^ cc
      d = half
      // The halves of the first word, and below those of the third, change places.
      half = (a + dd + carry(aa, d)) | 0
      a = (aa + d) | 0
      aa = half
      half = ((d << 21) | (dd >>> 11)) ^ a
      dd = ((dd << 21) | (d >>> 11)) ^ aa
      d = half
      cc = (cc + bb + carry(c, b)) | 0
      c = (c + b) | 0
      half = ((b << 17) | (bb >>> 15)) ^ c
      bb = ((bb << 17) | (b >>> 15)) ^ cc
      b = half
      half = c
      c = cc
      cc = half
    }
    a ^= low
    aa ^= high
  }
  hash.low = a ^ b ^ c ^ d
  hash.high = aa ^ bb ^ cc ^ dd
}

/** What the sum of two low halves adds to that of the high ones. */
function carry(x: number, y: number): 0 | 1 {
  return (x >>> 0) + (y >>> 0) > 0xffffffff ? 1 : 0
}

/** Nothing past the end. */
function unit(text: string, at: number): number {
  return at < text.length ? text.charCodeAt(at) : 0
}
