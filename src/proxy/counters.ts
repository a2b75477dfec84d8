// What one worker counts and measures, in plain numbers that another thread may read at any time.
import { Counts } from '../base/counts.ts'
import { Histogram } from '../base/histogram.ts'
import {
  type RefusalReason,
  refusalReasons,
  type UpstreamFailureReason,
  upstreamFailureReasons,
} from './errors.ts'

/**
 * Connections: `active` are open, of which `reading` have not sent a request yet, `writing` have one in hand and
 * `waiting` are idle; `accepted` and `handled` were ever opened. `requests` were received, of which `fast` were read in
 * the fast lane, `http2` came over HTTP/2 and `routed` matched an API. `handshakesFailed` are connections for TLS that were closed before it was agreed on. Of connections to
 * upstreams, `upstreamOpen` are open, of which `upstreamInUse` carry a request; `upstreamOpened`
 * ever came about, `upstreamNotOpened` did not; `upstreamReused` counts requests that found one open. Those
 * that are opened ahead of requests are counted like all others.
 */
const counterNames = [
  'active',
  'reading',
  'writing',
  'waiting',
  'accepted',
  'handled',
  'requests',
  'fast',
  'http2',
  'routed',
  'handshakesFailed',
  'upstreamOpen',
  'upstreamInUse',
  'upstreamOpened',
  'upstreamNotOpened',
  'upstreamReused',
] as const
export type Counter = (typeof counterNames)[number]

/**
 * What a request takes: `proxy` until it goes upstream, `upstream` from then to the head of the answer, `request` from
 * its head to the last byte of the reply, also where the gateway answers by itself.
 */
export const latencies = ['proxy', 'upstream', 'request'] as const
export type Latency = (typeof latencies)[number]

/** In ms: from a lookup in memory to the timeout of an upstream. */
const boundsMs = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 60_000]

const statusMin = 100
const statusMax = 599
const statusCount = statusMax - statusMin + 1

const latencyLength = Histogram.lengthFor(boundsMs)
const statusesAt = counterNames.length
// After the statuses, one place for those that are none of HTTP's.
const refusalsAt = statusesAt + statusCount + 1
const failuresAt = refusalsAt + refusalReasons.length
const latenciesAt = failuresAt + upstreamFailureReasons.length

/** Numbers that an array of counters has. */
export const counterCount = latenciesAt + latencies.length * latencyLength

const held = ['active', 'reading', 'writing', 'waiting', 'upstreamOpen', 'upstreamInUse'] as const

export class Counters {
  readonly #counts: Counts<Counter>
  readonly #statuses: Float64Array
  readonly #refusals: Counts<RefusalReason>
  readonly #failures: Counts<UpstreamFailureReason>
  readonly #latencies: Readonly<Record<Latency, Histogram>>

  /** @param numbers  `counterCount` of them; one writer only, so no atomics are needed */
  constructor(numbers: Float64Array = new Float64Array(counterCount)) {
    this.#counts = new Counts(counterNames, numbers)
    this.#statuses = numbers.subarray(statusesAt, refusalsAt)
    this.#refusals = new Counts(refusalReasons, numbers.subarray(refusalsAt, failuresAt))
    this.#failures = new Counts(upstreamFailureReasons, numbers.subarray(failuresAt, latenciesAt))
    this.#latencies = Object.fromEntries(
      latencies.map((latency, i) => {
        const at = latenciesAt + i * latencyLength
        return [latency, new Histogram(boundsMs, numbers.subarray(at, at + latencyLength))]
      }),
    ) as Record<Latency, Histogram>
  }

  add(counter: Counter, amount: 1 | -1): void {
    this.#counts.add(counter, amount)
  }

  get(counter: Counter): number {
    return this.#counts.get(counter)
  }

  /** A request, or what never became one, was answered; upstreams and plugins may say numbers that are no status. */
  answered(status: number): void {
    const isStatus = status >= statusMin && status <= statusMax
    const i = isStatus ? status - statusMin : statusCount
    this.#statuses[i] = (this.#statuses[i] as number) + 1
  }

  /** How many were answered, by status, those that were; `other` for numbers that are none. */
  get answers(): ReadonlyMap<number | 'other', number> {
    const counts = [...this.#statuses].map(
      (count, i) => [i === statusCount ? 'other' : i + statusMin, count] as const,
    )
    return new Map(counts.filter(([, count]) => count > 0))
  }

  /** What a client sent was not taken, or no longer. */
  refused(reason: RefusalReason): void {
    this.#refusals.add(reason)
  }

  get refusals(): Readonly<Record<RefusalReason, number>> {
    return this.#refusals.all()
  }

  /** An upstream failed. */
  failed(reason: UpstreamFailureReason): void {
    this.#failures.add(reason)
  }

  get failures(): Readonly<Record<UpstreamFailureReason, number>> {
    return this.#failures.all()
  }

  took(latency: Latency, ms: number): void {
    this.#latencies[latency].observe(ms)
  }

  /** In ms. */
  latency(latency: Latency): Histogram {
    return this.#latencies[latency]
  }

  /** What a thread holds, not what it has done: gone with it. */
  clearHeld(): void {
    for (const counter of held) this.#counts.clear(counter)
  }
}
