// What a person is told.
import type { Marks } from './marks.ts'
import type { Shrunk } from './shrink.ts'

/** The end of the trace says what led to it; all of it is had by the command. */
const linesShown = 60

export function failureOf(
  { plan, outcome, runs }: Shrunk,
  lines: readonly string[],
  command: string,
): string {
  const { violation } = outcome
  const faults = plan.faults.map(
    ({ kind, atMs, forMs }) => `${kind} at ${Math.round(atMs)} for ${Math.round(forMs)} ms`,
  )
  return `
seed ${plan.seed}: ${violation?.claim} does not hold, at ${violation?.atMs.toFixed(3)} ms
  ${violation?.what}

${lines.slice(-linesShown).join('\n')}

  ${plan.nodes} nodes, ${plan.operations.length} writes, faults: ${faults.join('; ') || 'none'} (after ${runs} runs)
  ${command}
`
}

export function countsOf({ counts }: Marks): string {
  const sorted = [...counts].sort(([a], [b]) => (a < b ? -1 : 1))
  return sorted.map(([situation, times]) => `${String(times).padStart(9)}  ${situation}\n`).join('')
}

/** Ids as `0-4,9`. */
export function rangesOf(all: readonly { readonly id: number }[]): string {
  const ranges: [number, number][] = []
  for (const { id } of all) {
    const last = ranges.at(-1)
    if (last && last[1] === id - 1) last[1] = id
    else ranges.push([id, id])
  }
  return ranges.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(',')
}
