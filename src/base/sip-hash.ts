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
 * @param key    128 secret bits
 * @param hash   where the result goes: an object for each text would cost as much again
 * @param other  where the second half of 128 bits goes; without it, `hash` is all, and another hash than their first half
 */
export function sipHash(key: Int32Array, text: string, hash: Hash, other?: Hash): void {
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
  let turned = 0
  if (other) b ^= 0xee
  const last = text.length >> 2
  // After the last word of the text, which holds its length too, come four rounds for each half of the result.
  const first = last + 1
  for (let word = 0; word <= (other ? first + 1 : first); word++) {
    const low = word > last ? 0 : unit(text, word * 4) | (unit(text, word * 4 + 1) << 16)
    const end = word === last ? (text.length * 2) << 24 : 0
    const high = word > last ? 0 : unit(text, word * 4 + 2) | (unit(text, word * 4 + 3) << 16) | end
    if (word === first) c ^= other ? 0xee : 0xff
    else if (word > first) b ^= 0xdd
    d ^= low
    dd ^= high
    for (let round = word > last ? 4 : 2; round > 0; round--) {
      aa = (aa + bb + carry(a, b)) | 0
      a = (a + b) | 0
      turned = ((b << 13) | (bb >>> 19)) ^ a
      bb = ((bb << 13) | (b >>> 19)) ^ aa
      b = turned
      cc = (cc + dd + carry(c, d)) | 0
      c = (c + d) | 0
      turned = ((d << 16) | (dd >>> 16)) ^ c
      dd = ((dd << 16) | (d >>> 16)) ^ cc
      d = turned
      // The halves of the first word, and below those of the third, change places.
      turned = (a + dd + carry(aa, d)) | 0
      a = (aa + d) | 0
      aa = turned
      turned = ((d << 21) | (dd >>> 11)) ^ a
      dd = ((dd << 21) | (d >>> 11)) ^ aa
      d = turned
      cc = (cc + bb + carry(c, b)) | 0
      c = (c + b) | 0
      turned = ((b << 17) | (bb >>> 15)) ^ c
      bb = ((bb << 17) | (b >>> 15)) ^ cc
      b = turned
      turned = c
      c = cc
      cc = turned
    }
    a ^= low
    aa ^= high
    if (word < first) continue
    const half = word === first ? hash : (other as Hash)
    half.low = a ^ b ^ c ^ d
    half.high = aa ^ bb ^ cc ^ dd
  }
}

/** What the sum of two low halves adds to that of the high ones. */
function carry(x: number, y: number): 0 | 1 {
  return (x >>> 0) + (y >>> 0) > 0xffffffff ? 1 : 0
}

/** Nothing past the end. */
function unit(text: string, at: number): number {
  return at < text.length ? text.charCodeAt(at) : 0
}
