// What a node knows of each member, itself included: the newest statement, by the order of member.ts.
import { isFinal, isPresent, type Member, type MemberStatus, type Rumour, supersedes } from './member.ts'

/** What is known of one. */
export interface Entry extends Omit<Rumour, 'ageMs'> {
  /** Since when it has the status that it has. */
  readonly sinceMs: number
  /** False while only a row of the datastore speaks for it: it counts as present once somebody has reached it. */
  readonly proven: boolean
}

export interface Change {
  readonly before: Entry | undefined
  readonly after: Entry
}

export class View {
  readonly #entries = new Map<string, Entry>()
  /** A sum over the entries: their order does not matter, and a change costs the same however many there are. */
  #sum: Lanes = [0, 0]

  get(name: string): Entry | undefined {
    return this.#entries.get(name)
  }

  all(): IterableIterator<Entry> {
    return this.#entries.values()
  }

  /**
   * Takes a statement in, if it is news.
   * @param proven  false when the statement is a row's, of one that nobody has reached
   * @returns       undefined when as much or more was known
   */
  apply(rumour: Rumour, now: number, proven = true): Change | undefined {
    const before = this.#entries.get(rumour.name)
    if (before && !supersedes(rumour, before)) return undefined
    const { ageMs = 0, ...statement } = rumour
    const unproven = !proven || (before?.life === rumour.life && !before.proven && rumour.state === 'suspect')
    const after = { ...statement, proven: !unproven, sinceMs: now - ageMs }
    return this.#put(before, after)
  }

  /** Somebody reached one that only a row spoke for, whatever was suspected of it meanwhile. */
  prove(name: string, now: number): Change | undefined {
    const before = this.#entries.get(name)
    if (before === undefined || before.proven || !isPresent(before.state)) return undefined
    return this.#put(before, { ...before, state: 'alive', proven: true, sinceMs: now })
  }

  /** Another accuser of one that is suspected anyway. */
  accuse(name: string, by: string): void {
    const entry = this.#entries.get(name)
    if (entry) this.#entries.set(name, { ...entry, by })
  }

  forget(name: string): void {
    this.#replace(this.#entries.get(name), undefined)
    this.#entries.delete(name)
  }

  /**
   * Equal for two nodes that know the same of all members that did not leave: those are forgotten here and there at
   * different times, and who has forgotten need not be told.
   */
  get hash(): string {
    return this.#sum.map((lane) => (lane >>> 0).toString(36)).join('.')
  }

  #put(before: Entry | undefined, after: Entry): Change {
    const isSame = before && before.life === after.life && statusOf(before) === statusOf(after)
    const entry = isSame ? { ...after, sinceMs: before.sinceMs } : after
    this.#replace(before, entry)
    this.#entries.set(after.name, entry)
    return { before, after: entry }
  }

  #replace(before: Entry | undefined, after: Entry | undefined): void {
    const minus = shareOf(before)
    const plus = shareOf(after)
    this.#sum = [(this.#sum[0] - minus[0] + plus[0]) | 0, (this.#sum[1] - minus[1] + plus[1]) | 0]
  }
}

/** What people are shown. */
export function statusOf({ state, proven }: Pick<Entry, 'state' | 'proven'>): MemberStatus {
  if (state === 'leaving' || state === 'failed' || state === 'left') return state
  if (isFinal(state)) return 'left'
  return proven ? 'alive' : 'failed'
}

export function memberOf(entry: Entry): Member {
  const { name, address, life, incarnation, sinceMs } = entry
  return { name, address, status: statusOf(entry), life, incarnation, sinceMs }
}

/** The entry as others are told of it. */
export function rumourOf(entry: Entry, now: number): Rumour {
  const { name, address, life, incarnation, state, by, sinceMs } = entry
  const statement = { name, address, life, incarnation, state, by }
  return isPresent(state) ? statement : { ...statement, ageMs: Math.max(0, now - sinceMs) }
}

/** What an entry adds to a view's hash; nothing when it left, or nobody has reached it. */
function shareOf(entry: Entry | undefined): Lanes {
  if (entry === undefined || !entry.proven || statusOf(entry) === 'left') return [0, 0]
  return lanesOf(`${entry.name} ${entry.life} ${entry.incarnation} ${statusOf(entry)}`)
}

/** Two hashes of 32 bits, so that views that differ never look the same in practice. */
type Lanes = readonly [number, number]

/** FNV-1a with two primes, finished as MurmurHash3 does, without which sums of similar texts would cancel out. */
function lanesOf(text: string): Lanes {
  let one = 0x811c9dc5
  let two = 0x9e3779b9
  for (let i = 0; i < text.length; i++) {
    one = Math.imul(one ^ text.charCodeAt(i), 0x01000193)
    two = Math.imul(two ^ text.charCodeAt(i), 0x85ebca6b)
  }
  return [finished(one), finished(two)]
}

function finished(lane: number): number {
  const mixed = Math.imul(lane ^ (lane >>> 16), 0x85ebca6b)
  const again = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return again ^ (again >>> 16)
}
