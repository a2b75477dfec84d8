// Situations that are worth having been in: counted over all seeds, so that a soak that never was in one says so.

/** Each is told by what a world sees from outside: log lines, counts of the agents, answers. */
export const situations = ['request: answered by restart', 'write: complete', 'write: incomplete'] as const

export class Marks {
  readonly counts = new Map<string, number>()

  note(situation: string, times: number | undefined = 1): void {
    if (times > 0) this.counts.set(situation, (this.counts.get(situation) ?? 0) + times)
  }

  add(other: ReadonlyMap<string, number>): void {
    for (const [situation, times] of other) this.note(situation, times)
  }
}
