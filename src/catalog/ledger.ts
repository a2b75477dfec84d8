// The books of an audit for one kind of thing: which keys are to be compared, and what is proven of the others. An
// event that touches a key makes whatever was known of it void.
import { hash } from 'node:crypto'

/** What was compared under one key. */
export interface Proof {
  readonly family: string
  /** Of what the datastore holds; see `valueHash`. */
  readonly hash: string
  /** How many of whom hold it. */
  readonly onNode: number
  readonly inWorkers: number
}

/** As kept: a hash as a number is the smaller one. */
interface Entry extends Omit<Proof, 'hash'> {
  readonly term: bigint
}

interface Sum {
  total: bigint
  keys: number
}

const sumBits = 256

export class Ledger {
  readonly #pending = new Set<string>()
  readonly #open = new Set<string>()
  readonly #proofs = new Map<string, Entry>()
  readonly #sums = new Map<string, Sum>()
  #onNode = 0
  #inWorkers = 0

  /** To be compared, for the first time or again. */
  add(key: string): void {
    this.#pending.add(key)
  }

  get isDone(): boolean {
    return this.#pending.size === 0
  }

  /** Hands out all that is to be compared. */
  take(): readonly string[] {
    const keys = [...this.#pending]
    this.#pending.clear()
    return keys
  }

  /** These are compared from now on, in place of those before them. */
  open(keys: Iterable<string>): void {
    this.#open.clear()
    for (const key of keys) this.#open.add(key)
  }

  /** Of those opened, what no event has touched since, and what was not closed. */
  get opened(): readonly string[] {
    return [...this.#open]
  }

  /** Nothing is to be compared under it now. What was proven of it stands. */
  close(key: string): void {
    this.#open.delete(key)
  }

  /** It can't be compared now, and is to be looked at again. */
  postpone(key: string): void {
    this.#open.delete(key)
    this.#retract(key)
    this.#pending.add(key)
  }

  /** An event changed what the datastore holds under it. */
  touch(key: string): void {
    if (this.#open.has(key) || this.#proofs.has(key)) this.postpone(key)
  }

  /** As `touch`, for all keys that start with `prefix`. */
  touchAll(prefix: string): void {
    for (const key of [...this.#open, ...this.#proofs.keys()]) if (key.startsWith(prefix)) this.postpone(key)
  }

  prove(key: string, { hash: value, ...proof }: Proof): void {
    this.#open.delete(key)
    this.#retract(key)
    const entry = { ...proof, term: BigInt(`0x${hash('sha256', `${value} ${key}`)}`) }
    this.#proofs.set(key, entry)
    this.#count(entry, 1)
  }

  /** Of all that is proven: keys, and how often they were found. */
  get proven(): { readonly keys: number; readonly onNode: number; readonly inWorkers: number } {
    return { keys: this.#proofs.size, onNode: this.#onNode, inWorkers: this.#inWorkers }
  }

  /** Keys of which nothing is proven, since an event touched them each time. */
  get unsettled(): number {
    return [...this.#pending].filter((key) => !this.#proofs.has(key)).length
  }

  /**
   * By family, one number over all that is proven: the sum, modulo 2^256, of the SHA-256 of `<hash> <key>` for each key,
   * as 64 hex digits. A sum needs no order, so the keys are not sorted and one that changes is taken out again.
   */
  get digests(): Readonly<Record<string, string>> {
    const found = [...this.#sums].filter(([, { keys }]) => keys > 0)
    return Object.fromEntries(
      found.map(([family, { total }]) => [family, total.toString(16).padStart(64, '0')]),
    )
  }

  #retract(key: string): void {
    const entry = this.#proofs.get(key)
    if (!entry) return
    this.#proofs.delete(key)
    this.#count(entry, -1)
  }

  #count({ family, term, onNode, inWorkers }: Entry, times: 1 | -1): void {
    this.#onNode += times * onNode
    this.#inWorkers += times * inWorkers
    const sum = this.#sums.get(family) ?? { total: 0n, keys: 0 }
    this.#sums.set(family, sum)
    sum.keys += times
    sum.total = BigInt.asUintN(sumBits, sum.total + BigInt(times) * term)
  }
}
