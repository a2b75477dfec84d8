// Proxies that are asked the same in turns, so that a slow moment hits all, and what each takes for a request beside the first of them.
import { median } from '../../support/measure.ts'
import { type Load, loadOn } from './load.ts'
import type { Contender, Stage } from './stage.ts'

/** What is asked. */
export interface Shape {
  readonly name: string
  /** Of the target, after the contender's path. */
  readonly ending: string
  readonly bodyBytes?: number
  /** Default: 50. What has come only in part when a turn ends is paid for, but not counted: with large bodies, let it be few. */
  readonly connections?: number
  readonly tls?: true
  /** Whether each request comes on a connection of its own. */
  readonly closing?: true
}

export interface ComparisonOptions {
  /** Besides those turns of each that come first, and are not counted. */
  readonly rounds: number
  readonly warmUps: number
  readonly seconds: number
  readonly report: (line: string) => void
}

export const head = ['proxy', 'CPU per request', '× nginx', 'least – most', 'requests/s', 'p99 ms']

/** Before that many requests much of a proxy may run as it was read, uncompiled. */
const warmUpRequests = 20_000

/** A row for each. */
export async function compare(
  { cores }: Stage,
  shape: Shape,
  contenders: readonly Contender[],
  { rounds, warmUps, seconds, report }: ComparisonOptions,
): Promise<string[][]> {
  const loads = contenders.map((): Load[] => [])
  const loadOf = (contender: Contender) => {
    const headers = { ...contender.headers, ...(shape.closing && { connection: 'close' }) }
    const { bodyBytes, connections } = shape
    const options = { seconds, headers, bodyBytes, connections, prefix: cores.besides }
    return loadOn(urlOf(contender, shape), contender.pid, options)
  }
  for (const contender of contenders)
    for (let turn = 0, requests = 0; turn < warmUps && requests < warmUpRequests; turn++)
      requests += (await loadOf(contender)).requestsPerS * seconds
  for (let round = 0; round < rounds; round++) {
    for (const [i, contender] of contenders.entries()) {
      const load = await loadOf(contender)
      const figures = `${load.requestsPerS.toFixed(0)}/s, ${load.cpuUs.toFixed(1)} µs`
      report(`${shape.name}: ${contender.name}: ${figures}`)
      loads[i]?.push(load)
    }
  }
  return contenders.map(({ name }, i) => [name, ...cellsOf(loads[i] ?? [], loads[0] ?? [])])
}

function urlOf({ port, tlsPort, path }: Contender, { ending, tls }: Shape): string {
  const start = tls ? `https://127.0.0.1:${tlsPort}` : `http://127.0.0.1:${port}`
  return `${start}${path}${ending}`
}

/** Ratios are those of one round each; then the middle one, and how far they lie apart. */
function cellsOf(loads: readonly Load[], base: readonly Load[]): string[] {
  const ratios = loads.map(({ cpuUs }, i) => cpuUs / (base[i]?.cpuUs ?? Number.NaN))
  const cpuUs = median(loads.map((load) => load.cpuUs))
  return [
    `${cpuUs.toFixed(cpuUs < 100 ? 1 : 0)} µs`,
    median(ratios).toFixed(2),
    loads === base ? '' : `${Math.min(...ratios).toFixed(2)} – ${Math.max(...ratios).toFixed(2)}`,
    median(loads.map(({ requestsPerS }) => requestsPerS)).toFixed(0),
    median(loads.map(({ p99Ms }) => p99Ms)).toFixed(1),
  ]
}
