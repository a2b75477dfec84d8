// Decides afterwards, from what clients saw and what the log says, whether the promises were kept.
import type { Answer, Committed, History, Write } from './history.ts'

export interface Verdict {
  /** Changes that were answered as done and are not there, in the log or on a node. */
  readonly lost: readonly string[]
  /** Writes that were answered as not done and are there. */
  readonly untrue: readonly string[]
  /** Answers of a node, asked after a write that it has according to the answer, that show what was before. */
  readonly stale: readonly string[]
  /** Answers that show what was before a write whose answer named that node as one that may lag. */
  readonly older: number
}

/**
 * @param committed  all values that registers ever had, from the log
 * @param last       answers from after everything was repaired: each register on each node
 */
export function judge(history: History, committed: readonly Committed[], last: readonly Answer[]): Verdict {
  const registers = Map.groupBy(committed, ({ register }) => register)
  const judged = [...registers].map(([register, values]) => {
    const line = new Timeline(values, history.writes)
    const own = <T extends { readonly register: string }>(all: readonly T[]) =>
      all.filter((one) => one.register === register)
    return line.judge(own(history.writes), own(history.answers), own(last))
  })
  return {
    lost: judged.flatMap(({ lost }) => lost),
    untrue: judged.flatMap(({ untrue }) => untrue),
    stale: judged.flatMap(({ stale }) => stale),
    older: judged.reduce((sum, { older }) => sum + older, 0),
  }
}

/** The values of one register in the order in which they came into force. */
class Timeline {
  readonly #values: readonly Committed[]
  readonly #indexes: ReadonlyMap<string, number>
  readonly #sentAt: ReadonlyMap<string, number>

  constructor(values: readonly Committed[], writes: readonly Write[]) {
    this.#values = values.toSorted((a, b) => a.position - b.position)
    this.#indexes = new Map(this.#values.map(({ value }, index) => [value, index]))
    this.#sentAt = new Map(writes.map(({ value, sentAt }) => [value, sentAt]))
  }

  judge(writes: readonly Write[], answers: readonly Answer[], last: readonly Answer[]): Verdict {
    const done = writes.filter(({ outcome }) => outcome === 'complete' || outcome === 'incomplete')
    const missing = done.filter(({ value }) => !this.#indexes.has(value))
    const newest = this.#values.at(-1)?.value
    const invented = answers.filter(({ shown }) => shown !== undefined && !this.#indexes.has(shown))
    const stale = this.#older(answers, (node) => done.filter(({ lagging }) => !lagging.includes(node)))
    return {
      lost: [
        ...missing.map(({ value }) => `${value} was answered as done, and is not in the log`),
        ...last
          .filter(({ shown }) => shown !== newest)
          .map(({ node, shown, status }) => `node ${node} ends with ${shown ?? status}, not with ${newest}`),
      ],
      untrue: writes
        .filter(({ outcome, value }) => outcome === 'refused' && this.#indexes.has(value))
        .map(({ value }) => `${value} was answered as not done, and is in the log`),
      stale: [...stale, ...invented].map(describe),
      older: this.#older(answers, () => done).length - stale.length,
    }
  }

  /** Answers to requests that were sent after a write in `known` had been answered, and that show what was before it. */
  #older(answers: readonly Answer[], known: (node: number) => readonly Write[]): readonly Answer[] {
    return [...Map.groupBy(answers, ({ node }) => node)].flatMap(([node, own]) => {
      const writes = known(node).toSorted((a, b) => a.endedAt - b.endedAt)
      let next = 0
      let floor = -1
      return own
        .toSorted((a, b) => a.sentAt - b.sentAt)
        .filter((answer) => {
          for (; (writes[next]?.endedAt ?? Number.POSITIVE_INFINITY) <= answer.sentAt; next++) {
            floor = Math.max(floor, this.#indexes.get((writes[next] as Write).value) ?? -1)
          }
          return this.#isBelow(answer, floor)
        })
    })
  }

  #isBelow({ shown, denied, endedAt }: Answer, floor: number): boolean {
    if (shown !== undefined) return (this.#indexes.get(shown) ?? floor) < floor
    // What is denied was in force all the while, unless the next value may have come before the answer.
    if (denied === undefined || floor === -1 || this.#indexes.get(denied) !== floor) return false
    const next = this.#values[floor + 1]
    return next === undefined || (this.#sentAt.get(next.value) ?? 0) >= endedAt
  }
}

function describe({ node, register, shown, denied, sentAt, endedAt }: Answer): string {
  const what = shown === undefined ? `denies ${denied}` : `shows ${shown}`
  return `node ${node} ${what} of ${register}, asked at ${sentAt.toFixed(0)} ms, answered at ${endedAt.toFixed(0)} ms`
}
