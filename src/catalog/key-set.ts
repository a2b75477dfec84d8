// Which keys there are, each as a hash of 64 bits, in memory that threads share: one of them writes, the others look.
// A key that was added is always found; one that was not may be, for one look in 2^60 or so.
import { type Hash, sipHash } from '../base/sip-hash.ts'

const headerInts = 4
const slotInts = 2
const slotsMin = 1024

/** A set that got fuller is made anew with room for more; just made, it is this full: 8 bytes a slot, 9 to 15 a key. */
const fullMost = 0.85
const fullAnew = 0.55

// The high half of a hash is never one of these: it has this bit.
const empty = 0
const removed = 1
const hashBit = 2

/**
 * Open addressing with linear probing. No key is ever moved from its slot and removed ones leave a mark, so whoever looks
 * while another thread writes misses nothing that was there before and still is. Where there are too many marks, or
 * keys, the set is copied to other memory; what was there before is not written any more.
 */
export class KeySet {
  #memory: Int32Array
  #slots: number
  readonly #hash: Hash = { low: 0, high: 0 }
  /** How many are in it, and how many slots are not empty. Of the one who writes alone. */
  #size = 0
  #used = 0

  private constructor(buffer: SharedArrayBuffer) {
    this.#memory = new Int32Array(buffer)
    this.#slots = (this.#memory.length - headerInts) / slotInts
  }

  /** @param secret  128 bits that nobody else may know, or keys could be chosen that fall on one place */
  static make(secret: Int32Array): KeySet {
    return new KeySet(bufferFor(slotsMin, secret))
  }

  /** The set of another thread, to look into. */
  static over(buffer: SharedArrayBuffer): KeySet {
    return new KeySet(buffer)
  }

  /** Another one after it had to grow. */
  get buffer(): SharedArrayBuffer {
    return this.#memory.buffer as SharedArrayBuffer
  }

  /** Keys, those added twice counted twice. */
  get size(): number {
    return this.#size
  }

  has(key: string): boolean {
    this.#take(key)
    return this.#find() >= 0
  }

  /** Adds it, once more if it is in already: each is to be removed by itself. */
  add(key: string): void {
    if (this.#used + 1 > this.#slots * fullMost) this.#renew()
    this.#take(key)
    this.#put(this.#hash.low, this.#hash.high)
  }

  /** Returns whether it was in it. */
  remove(key: string): boolean {
    this.#take(key)
    const at = this.#find()
    if (at < 0) return false
    Atomics.store(this.#memory, at + 1, removed)
    this.#size--
    return true
  }

  #take(key: string): void {
    sipHash(this.#memory, key, this.#hash)
    this.#hash.high |= hashBit
  }

  /** Where the hash is; -1 when it is nowhere. */
  #find(): number {
    const { low, high } = this.#hash
    for (let slot = this.#home(low); ; slot = this.#after(slot)) {
      const at = headerInts + slot * slotInts
      const found = Atomics.load(this.#memory, at + 1)
      if (found === empty) return -1
      if (found === high && Atomics.load(this.#memory, at) === low) return at
    }
  }

  #put(low: number, high: number): void {
    let slot = this.#home(low)
    while (this.#isTaken(slot)) slot = this.#after(slot)
    const at = headerInts + slot * slotInts
    if (this.#memory[at + 1] === empty) this.#used++
    this.#size++
    // In this order: who finds the second half must find the first.
    Atomics.store(this.#memory, at, low)
    Atomics.store(this.#memory, at + 1, high)
  }

  #isTaken(slot: number): boolean {
    const high = this.#memory[headerInts + slot * slotInts + 1]
    return high !== empty && high !== removed
  }

  #home(low: number): number {
    return Math.floor(((low >>> 0) / 2 ** 32) * this.#slots)
  }

  #after(slot: number): number {
    return slot + 1 === this.#slots ? 0 : slot + 1
  }

  #renew(): void {
    const before = this.#memory
    this.#slots = Math.max(slotsMin, Math.ceil((this.#size + 1) / fullAnew))
    this.#memory = new Int32Array(bufferFor(this.#slots, before))
    this.#size = 0
    this.#used = 0
    for (let at = headerInts; at < before.length; at += slotInts) {
      const high = before[at + 1] as number
      if (high !== empty && high !== removed) this.#put(before[at] as number, high)
    }
  }
}

/** The secret stands first, so that every thread hashes alike. */
function bufferFor(slots: number, secret: Int32Array): SharedArrayBuffer {
  const ints = headerInts + slots * slotInts
  const buffer = new SharedArrayBuffer(ints * Int32Array.BYTES_PER_ELEMENT)
  new Int32Array(buffer).set(secret.subarray(0, headerInts))
  return buffer
}
