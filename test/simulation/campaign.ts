// Many seeds, dealt out in blocks to as many hands as there are, and what is said of them meanwhile and at the end.
import { availableParallelism } from 'node:os'
import { type Hand, HiredHand, ownHand, usedHere } from './crew.ts'
import { soakSeedsMin } from './marks.ts'
import type { PlanOptions } from './plan.ts'
import { countsOf } from './report.ts'
import { Tally } from './tally.ts'

export interface CampaignOptions extends Omit<PlanOptions, 'seed'> {
  readonly from: number
  /** Infinite where only the time bounds it. */
  readonly count: number
  /** By Date.now(). */
  readonly endMs: number
  readonly jobs: number
  /** Is told of a seed that failed, once. */
  readonly failed: (seed: number) => Promise<void>
}

/** So many at a time: some seconds of work, so that hands are done at about the same time. */
const blockSeeds = 25
/** With so many there is enough to look at. */
const failuresMax = 5
const progressMs = 10_000

/** @returns whether all went well */
export async function campaign(options: CampaignOptions): Promise<boolean> {
  const { from, count, endMs, jobs, failed, ...plan } = options
  const startMs = Date.now()
  const tally = new Tally()
  const hands: Hand[] = jobs > 1 ? Array.from({ length: jobs }, () => new HiredHand()) : [ownHand]
  let dealt = 0
  let shownMs = startMs
  const isOver = () => dealt >= count || Date.now() >= endMs || tally.sum.failed.length >= failuresMax

  const work = async (hand: Hand) => {
    while (!isOver()) {
      const block = { ...plan, from: from + dealt, count: Math.min(blockSeeds, count - dealt) }
      dealt += block.count
      const sum = await hand.run(block)
      tally.add(sum)
      for (const seed of sum.failed) await failed(seed)
      if (Date.now() - shownMs < progressMs) continue
      shownMs = Date.now()
      process.stderr.write(`${progressOf(tally, hands, startMs)}\n`)
    }
  }
  try {
    await Promise.all(hands.map(work))
  } finally {
    for (const hand of hands) hand.stop()
  }
  process.stdout.write(summaryOf(tally, hands, startMs, from))
  const { unreached } = tally.marks
  const { seeds, failed: failures } = tally.sum
  return failures.length === 0 && (seeds < soakSeedsMin || unreached.length === 0)
}

/** Of all that run seeds, and of this process, which deals them out. */
function cpuSeconds(hands: readonly Hand[]): number {
  const others = hands.filter((hand) => hand !== ownHand)
  return [usedHere(), ...others.map((hand) => hand.used())].reduce((sum, { cpuMs }) => sum + cpuMs, 0) / 1000
}

function progressOf(tally: Tally, hands: readonly Hand[], startMs: number): string {
  const { seeds, failed } = tally.sum
  const memory = Math.max(...hands.map((hand) => hand.used().memoryBytes))
  return [
    `${seeds} seeds, ${failed.length} failed, ${wholeSeconds(Date.now() - startMs)}`,
    `${(seeds / cpuSeconds(hands)).toFixed(1)} for each CPU second`,
    `${Math.round(memory / 2 ** 20)} MiB at most`,
  ].join('; ')
}

function summaryOf(tally: Tally, hands: readonly Hand[], startMs: number, from: number): string {
  const { seeds, failed, nodes, faults, writes, simulatedMs } = tally.sum
  const { unreached } = tally.marks
  const cpu = cpuSeconds(hands)
  const each = (sum: number) => (sum / seeds).toFixed(2)
  const lines = [
    ...(unreached.length > 0 ? [`never: ${unreached.join('; ')}`, ''] : []),
    `${seeds} seeds from ${from}: ${failed.length} failed${failed.length > 0 ? ` (${failed.join(', ')})` : ''}`,
    `each, on average: ${each(nodes)} nodes, ${each(faults)} faults, ${each(writes)} writes, ${each(simulatedMs / 1000)} s`,
    `simulated: ${(simulatedMs / 3_600_000).toFixed(1)} h`,
    `wall time: ${wholeSeconds(Date.now() - startMs)}, ${hands.length} of ${availableParallelism()} cores`,
    `CPU time: ${cpu.toFixed(1)} s; ${(seeds / cpu).toFixed(1)} seeds for each CPU second`,
  ]
  return `${countsOf(tally.marks)}\n${lines.join('\n')}\n`
}

function wholeSeconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`
}
