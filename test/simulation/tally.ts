// What came of many seeds, added up.
import { Marks } from './marks.ts'
import type { PlanOptions } from './plan.ts'
import { planOf } from './plan.ts'
import { runPlan } from './run.ts'

/** Seeds in a row, and what they may be. */
export interface Block extends Omit<PlanOptions, 'seed'> {
  readonly from: number
  readonly count: number
}

/** What came of a block; plain, so that it can go from one process to another. */
export interface Sum {
  readonly seeds: number
  /** Those that failed. */
  readonly failed: readonly number[]
  /** As they were planned, of all seeds together. */
  readonly nodes: number
  readonly faults: number
  readonly writes: number
  readonly simulatedMs: number
  /** Situations, and how often each came about. */
  readonly marks: readonly (readonly [string, number])[]
}

export async function runBlock({ from, count, ...options }: Block): Promise<Sum> {
  const tally = new Tally()
  for (let seed = from; seed < from + count; seed++) {
    const plan = planOf({ ...options, seed })
    const { violation, spanMs, marks } = await runPlan(plan)
    tally.add({
      seeds: 1,
      failed: violation ? [seed] : [],
      nodes: plan.nodes,
      faults: plan.faults.length,
      writes: plan.operations.length,
      simulatedMs: spanMs,
      marks: [...marks],
    })
  }
  return tally.sum
}

export class Tally {
  readonly marks = new Marks()
  #counts = { seeds: 0, nodes: 0, faults: 0, writes: 0, simulatedMs: 0 }
  readonly #failed: number[] = []

  add({ failed, marks, ...counts }: Sum): void {
    for (const name of Object.keys(this.#counts) as (keyof typeof counts)[]) {
      this.#counts[name] += counts[name]
    }
    this.#failed.push(...failed)
    this.marks.add(new Map(marks))
  }

  get sum(): Sum {
    return { ...this.#counts, failed: this.#failed, marks: [...this.marks.counts] }
  }
}
