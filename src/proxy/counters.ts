// What one worker counts for `/status`, in plain numbers that another thread may read at any time.

/**
 * Places in the array. Connections: `active` are open, of which `reading` have not sent a request yet, `writing`
 * have one in hand and `waiting` are idle; `accepted` and `handled` were ever opened. `requests` were received,
 * of which `routed` matched an API. `handshakesFailed` are connections for TLS that were closed before it was agreed on.
 * The list only ever grows.
 */
export const counterIndex = {
  active: 0,
  reading: 1,
  writing: 2,
  waiting: 3,
  accepted: 4,
  handled: 5,
  requests: 6,
  routed: 7,
  handshakesFailed: 8,
} as const

export type Counter = keyof typeof counterIndex

/** Numbers that an array of counters must have room for. */
export const counterCount = Object.keys(counterIndex).length

export class Counters {
  readonly #numbers: Float64Array

  /** @param numbers  at least `counterCount` long; one writer only, so no atomics are needed */
  constructor(numbers: Float64Array = new Float64Array(counterCount)) {
    this.#numbers = numbers
  }

  add(counter: Counter, amount: 1 | -1): void {
    const i = counterIndex[counter]
    this.#numbers[i] = (this.#numbers[i] as number) + amount
  }

  get(counter: Counter): number {
    return this.#numbers[counterIndex[counter]] as number
  }
}
