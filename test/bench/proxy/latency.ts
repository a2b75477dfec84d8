// What a proxy adds to how long an answer takes, at fixed rates: shares of what it can do at most. Each is followed by the upstream
// without it at the same rate, and what lies between them is added.
import { inMs, median, quantile } from '../../support/measure.ts'
import { loadOn } from './load.ts'
import type { OpenLoopResult } from './open-loop.ts'
import { askAtRate } from './rate.ts'
import type { Contender, Stage } from './stage.ts'

export interface LatencyOptions {
  readonly shares: readonly number[]
  readonly rounds: number
  readonly seconds: number
  /** At the start of a run the client is yet to be compiled: what is due then is not counted. */
  readonly warmUpSeconds: number
  readonly report: (line: string) => void
}

/** One run. Milliseconds. */
interface Times {
  readonly p50: number
  readonly p99: number
  readonly p999: number
  /** The 99th percentile of the upstream without the proxy, and what the proxy adds to it. */
  readonly directP99: number
  readonly addedP99: number
  /** The 99th percentile of how late the client was. */
  readonly lateP99: number
}

export const head =
  'proxy,of its most,requests/s,p50 ms,p99,p99.9,p99 without it,p99 added,× nginx,least – most,client late p99'.split(
    ',',
  )

/** As many as there are in wrk, which says what a proxy can do at most. */
const connections = 50

/** A row for each share and contender; the first is what the others are compared with. */
export async function compareLatencies(
  stage: Stage,
  contenders: readonly Contender[],
  { shares, rounds, report, ...times }: LatencyOptions,
): Promise<string[][]> {
  const most = new Map<Contender, number>()
  for (const contender of contenders) {
    most.set(contender, await mostOf(stage, contender, rounds))
    report(`at most: ${contender.name}: ${most.get(contender)?.toFixed(0)}/s`)
  }
  const rows: string[][] = []
  for (const share of shares) {
    const rates = contenders.map((contender) => share * (most.get(contender) as number))
    const all = contenders.map((): Times[] => [])
    for (let round = 0; round < rounds; round++) {
      for (const [i, contender] of contenders.entries()) {
        const { [i]: requestsPerS = 0 } = rates
        const one = await timesAt(stage, contender, { requestsPerS, ...times })
        const figures = [one.p99, one.directP99, one.lateP99].map(inMs)
        report(`${share}: ${contender.name}: p99, without it, client late: ${figures.join(', ')} ms`)
        all[i]?.push(one)
      }
    }
    for (const [i, { name }] of contenders.entries())
      rows.push([name, `${share * 100} %`, `${rates[i]?.toFixed(0)}`, ...cellsOf(all[i] ?? [], all[0] ?? [])])
  }
  return rows
}

/** Requests per second with all connections asking without a pause. */
async function mostOf({ cores }: Stage, { port, path, pid }: Contender, rounds: number): Promise<number> {
  const rates: number[] = []
  for (let round = 0; round < rounds; round++) {
    const options = { seconds: 1, prefix: cores.besides }
    rates.push((await loadOn(`http://127.0.0.1:${port}${path}`, pid, options)).requestsPerS)
  }
  return median(rates)
}

async function timesAt(
  { cores, upstreamPort }: Stage,
  { port, path, headers }: Contender,
  options: Pick<LatencyOptions, 'seconds' | 'warmUpSeconds'> & { readonly requestsPerS: number },
): Promise<Times> {
  const { requestsPerS, warmUpSeconds } = options
  const plan = { path, headers, requestsPerS, seconds: options.seconds + warmUpSeconds, connections }
  const through = after(warmUpSeconds, await askAtRate({ ...plan, port }, cores.besides))
  const direct = after(warmUpSeconds, await askAtRate({ ...plan, port: upstreamPort }, cores.besides))
  const [p99, directP99] = [quantile(through.tookMs, 0.99), quantile(direct.tookMs, 0.99)]
  return {
    p50: median(through.tookMs),
    p99,
    p999: quantile(through.tookMs, 0.999),
    directP99,
    addedP99: p99 - directP99,
    lateP99: quantile(through.lateMs, 0.99),
  }
}

/** Without what was due in the first seconds. */
function after(seconds: number, { dueMs, tookMs, lateMs }: OpenLoopResult) {
  const startMs = (dueMs[0] ?? 0) + seconds * 1000
  const isCounted = (_: number, i: number) => (dueMs[i] as number) >= startMs
  return { tookMs: tookMs.filter(isCounted), lateMs: lateMs.filter(isCounted) }
}

function cellsOf(times: readonly Times[], base: readonly Times[]): string[] {
  const middle = (name: keyof Times) => inMs(median(times.map((one) => one[name])))
  const ratios = times.map(({ addedP99 }, i) => addedP99 / (base[i]?.addedP99 ?? Number.NaN))
  const names = ['p50', 'p99', 'p999', 'directP99', 'addedP99'] as const
  return [
    ...names.map(middle),
    median(ratios).toFixed(1),
    times === base ? '' : `${Math.min(...ratios).toFixed(1)} – ${Math.max(...ratios).toFixed(1)}`,
    middle('lateP99'),
  ]
}
