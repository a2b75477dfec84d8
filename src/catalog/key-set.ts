// Which keys there are, each as a hash of 64 bits, in memory that threads share: one of them writes, the others look.
// A key that was added is always found; one that was not may be, for one look in 2^60 or so.
import { type Hash, sipHash } from '../base/sip-hash.ts'

const headerInts = 4
const slotInts = 2
const slotsMin = 1024

/**
 * A set that got fuller is copied to where there is room for more. Each key that is added meanwhile copies a few slots, so that no thread stands still over a million of them, and it is done before there is no room left. Just made,
 * it is as full as the last says, or a little fuller: 8 bytes a slot, 9 to 15 a key.
 */
const fullMost = 0.78
const slotsCopiedAtOnce = 16
const fullAnew = 0.58

// The high half of a hash is never one of these: it has this bit.
const empty = 0
const removed = 1
const hashBit = 2

/**
 * Open addressing with linear probing. No key is ever moved from its slot and removed ones leave a mark, so whoever looks
 * while another thread writes misses nothing that was there before and still is. Where there are too many marks, or
 * keys, the set is copied to other memory; what was there before is not written any more once that is in its place.
 */
export class KeySet {
  #slots: Slots
  /** Where it is being copied to, and how many slots were. All that is in these is there too. */
  #next: { readonly slots: Slots; copied: number } | undefined
  readonly #hash: Hash = { low: 0, high: 0 }

  private constructor(slots: Slots) {
    this.#slots = slots
  }

  /** @param secret  128 bits that nobody else may know, or keys could be chosen that fall on one place */
  static make(secret: Int32Array): KeySet {
    return new KeySet(new Slots(bufferFor(slotsMin, secret)))
  }

  /** The set of another thread, to look into. */
  static over(buffer: SharedArrayBuffer): KeySet {
    return new KeySet(new Slots(buffer))
  }

  /** Another one after it had to grow. */
  get buffer(): SharedArrayBuffer {
    return this.#slots.buffer
  }

  /** Keys, those added twice counted twice. */
  get size(): number {
    return this.#slots.size
  }

  has(key: string): boolean {
    this.#take(key)
    return this.#slots.find(this.#hash) >= 0
  }

  /** Adds it, once more if it is in already: each is to be removed by itself. Nothing else moves it to other memory. */
  add(key: string): void {
    this.#take(key)
    const slot = this.#slots.put(this.#hash)
    if (this.#next && slot < this.#next.copied) this.#next.slots.put(this.#hash)
    this.#copySome()
  }

  /** Returns whether it was in it. */
  remove(key: string): boolean {
    this.#take(key)
    const slot = this.#slots.find(this.#hash)
    if (slot < 0) return false
    this.#slots.remove(slot)
    if (this.#next && slot < this.#next.copied) this.#next.slots.remove(this.#next.slots.find(this.#hash))
    return true
  }

  #take(key: string): void {
    sipHash(this.#slots.memory, key, this.#hash)
    this.#hash.high |= hashBit
  }

  #copySome(): void {
    const { memory, count, size, used } = this.#slots
    if (!this.#next) {
      if (used < count * fullMost) return
      const room = Math.max(slotsMin, Math.ceil((size + 1) / fullAnew))
      this.#next = { slots: new Slots(bufferFor(room, memory)), copied: 0 }
    }
    const { slots, copied } = this.#next
    const end = Math.min(count, copied + slotsCopiedAtOnce)
    this.#slots.copy(copied, end, slots)
    this.#next.copied = end
    if (end < count) return
    this.#slots = slots
    this.#next = undefined
  }
}

/** The memory of a set. */
class Slots {
  readonly memory: Int32Array
  readonly count: number
  /** How many have a hash, and how many are not empty. Of the one who writes alone. */
  size = 0
  used = 0

  constructor(buffer: SharedArrayBuffer) {
    this.memory = new Int32Array(buffer)
    this.count = (this.memory.length - headerInts) / slotInts
  }

  get buffer(): SharedArrayBuffer {
    return this.memory.buffer as SharedArrayBuffer
  }

  /** Which slot has the hash; -1 when none has. */
  find({ low, high }: Hash): number {
    for (let slot = this.#home(low); ; slot = this.#after(slot)) {
      const at = headerInts + slot * slotInts
      const found = Atomics.load(this.memory, at + 1)
      if (found === empty) return -1
      if (found === high && Atomics.load(this.memory, at) === low) return slot
    }
  }

  /** Returns the slot that has it now. */
  put({ low, high }: Hash): number {
    let slot = this.#home(low)
    while (this.#isTaken(slot)) slot = this.#after(slot)
    const at = headerInts + slot * slotInts
    if (this.memory[at + 1] === empty) this.used++
    this.size++
    // In this order: who finds the second half must find the first.
    Atomics.store(this.memory, at, low)
    Atomics.store(this.memory, at + 1, high)
    return slot
  }

  remove(slot: number): void {
    Atomics.store(this.memory, headerInts + slot * slotInts + 1, removed)
    this.size--
  }

  /** Puts what the slots from `begin` to `end` have into others. */
  copy(begin: number, end: number, others: Slots): void {
    const hash = { low: 0, high: 0 }
    for (let slot = begin; slot < end; slot++) {
      if (!this.#isTaken(slot)) continue
      const at = headerInts + slot * slotInts
      hash.low = this.memory[at] as number
      hash.high = this.memory[at + 1] as number
      others.put(hash)
    }
  }

  #isTaken(slot: number): boolean {
    const high = this.memory[headerInts + slot * slotInts + 1]
    return high !== empty && high !== removed
  }

  #home(low: number): number {
    return Math.floor(((low >>> 0) / 2 ** 32) * this.count)
  }

  #after(slot: number): number {
    return slot + 1 === this.count ? 0 : slot + 1
  }
}

/** The secret stands first, so that every thread hashes alike. */
function bufferFor(slots: number, secret: Int32Array): SharedArrayBuffer {
  const ints = headerInts + slots * slotInts
  const buffer = new SharedArrayBuffer(ints * Int32Array.BYTES_PER_ELEMENT)
  new Int32Array(buffer).set(secret.subarray(0, headerInts))
  return buffer
}
