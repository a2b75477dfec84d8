// What clients saw of one fault, in numbers.

import type { Answer, History, Outcome } from './history.ts'
import type { Verdict } from './judge.ts'
import { cachedRoutes } from './registers.ts'

export interface Observation extends Verdict {
  readonly writes: Readonly<Record<Outcome, number>>
  /** Answers with what was asked for, on cached routes. */
  readonly served: number
  /** Other answers of nodes that nothing was done to, on cached routes: counts by status. */
  readonly failed: Readonly<Record<string, number>>
  /** Of nodes that something was done to. */
  readonly failedOnAfflicted: Readonly<Record<string, number>>
  /** The longest time for which one of the nodes that nothing was done to served none; undefined if there was none. */
  readonly gapMs: number | undefined
  /** The same of the others. */
  readonly gapOnAfflictedMs: number | undefined
  /** From the repair until all agree on who is there, and a write through each node is complete. */
  readonly convergedMs: number
}

/** All that the history alone tells. */
export function countsOf(history: History): Omit<Observation, keyof Verdict | 'convergedMs'> {
  const writes = { complete: 0, incomplete: 0, refused: 0, unknown: 0 }
  for (const { outcome } of history.writes) writes[outcome]++
  const answers = history.answers.filter(({ register }) => cachedRoutes.includes(register))
  const served = answers.filter(({ status }) => status === 200)
  const failed = answers.filter(({ status }) => status !== 200)
  const isAfflicted = (answer: Answer) => history.isAfflicted(answer)
  const afflicted = new Set(history.afflictions.map(({ node }) => node))
  const gapsOf = (isWanted: (node: number) => boolean) =>
    [...Map.groupBy(served, ({ node }) => node)]
      .filter(([node]) => isWanted(node))
      .map(([, own]) => longestGapMs(own))
  return {
    writes,
    served: served.length,
    failed: countBy(failed.filter((answer) => !isAfflicted(answer))),
    failedOnAfflicted: countBy(failed.filter(isAfflicted)),
    gapMs: longest(gapsOf((node) => !afflicted.has(node))),
    gapOnAfflictedMs: longest(gapsOf((node) => afflicted.has(node))),
  }
}

function countBy(answers: readonly Answer[]): Record<string, number> {
  const groups = Map.groupBy(answers, ({ status, why = '' }) => `${status} ${why}`.trim())
  return Object.fromEntries([...groups].map(([status, { length }]) => [status, length]))
}

function longestGapMs(answers: readonly Answer[]): number {
  const times = answers.map(({ endedAt }) => endedAt).sort((a, b) => a - b)
  return times.reduce((longest, at, i) => Math.max(longest, i === 0 ? 0 : at - (times[i - 1] as number)), 0)
}

function longest(all: readonly number[]): number | undefined {
  return all.length === 0 ? undefined : Math.max(...all)
}
