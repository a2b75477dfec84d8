// The table of a campaign, and its place in docs/reliability.md.
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../../src/base/clock.ts'
import { root } from '../../support/sources.ts'
import type { Fault } from './faults.ts'
import type { Observation } from './observation.ts'

export type Result = { readonly fault: Fault } & (
  | { readonly seen: Observation }
  | { readonly skipped: string }
  | { readonly failure: string }
)

export const pagePath = 'docs/reliability.md'
/** What lies between these on the page is written by a campaign. */
const block = /(?<=<!-- Made by "npm run faults"\. -->\n).*?(?=<!-- The end of the table\. -->)/s

const columns = [
  'what happened',
  'lost',
  'stale',
  'untrue',
  'failed',
  'served',
  'longest gap',
  'at the victim: failed',
  'longest gap',
  'writes: complete',
  'incomplete',
  'refused',
  'unknown',
  'older from named nodes',
  'whole again after',
]

/** Whether all promises were kept, or it says why not. */
export function isKept(result: Result): boolean {
  if ('skipped' in result) return true
  if ('failure' in result) return false
  const { lost, stale, untrue, failed } = result.seen
  const isServed = result.fault.mayFail !== undefined || sum(failed) === 0
  return isServed && lost.length === 0 && stale.length === 0 && untrue.length === 0
}

/** The cells of its row. */
export function rowOf(result: Result): readonly string[] {
  const { name } = result.fault
  if ('skipped' in result) return [name, `left out: ${result.skipped}`]
  if ('failure' in result) return [name, `**${result.failure}**`]
  const { seen } = result
  const { writes } = seen
  const atVictim = seen.gapOnAfflictedMs === undefined ? '' : String(sum(seen.failedOnAfflicted))
  return [
    name,
    String(seen.lost.length),
    String(seen.stale.length),
    String(seen.untrue.length),
    String(sum(seen.failed)),
    String(seen.served),
    inSeconds(seen.gapMs),
    atVictim,
    inSeconds(seen.gapOnAfflictedMs),
    ...[writes.complete, writes.incomplete, writes.refused, writes.unknown, seen.older].map(String),
    inSeconds(seen.convergedMs),
  ]
}

/** What did not hold, in words. */
export function detailsOf(result: Result): readonly string[] {
  if (!('seen' in result)) return []
  const { lost, stale, untrue, failed } = result.seen
  const statuses = Object.entries(failed).map(([status, count]) => `${count} × ${status}`)
  return [...lost, ...stale, ...untrue, ...statuses]
}

export function writePage(results: readonly Result[], nodes: number): void {
  const path = join(root, pagePath)
  const page = readFileSync(path, 'utf8')
  if (!block.test(page)) throw new Error(`${pagePath} has no place for the table`)
  const rows = [columns, columns.map(() => '---'), ...results.map(rowOf)]
  const table = rows.map((row) => `| ${row.join(' | ')} |`).join('\n')
  writeFileSync(
    path,
    page.replace(block, () => `\n${machine(nodes)}\n\n${table}\n\n`),
  )
}

function machine(nodes: number): string {
  const date = new Date(systemClock.now()).toISOString().slice(0, 10)
  const memory = `${(totalmem() / 2 ** 30).toFixed(0)} GiB`
  return `${date}, ${nodes} nodes with 2 workers each, their clients, upstream and Postgres on one machine of
${availableParallelism()} cores (${cpus()[0]?.model}, ${memory}, Linux ${release()}), load ${loadavg()[2]?.toFixed(0)}.`
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}

function inSeconds(ms: number | undefined): string {
  return ms === undefined ? '' : `${(ms / 1000).toFixed(1)} s`
}
