// What the answers of a client that asks at a fixed rate tell of the changes that were made meanwhile.
import type { OpenLoopResult } from '../proxy/open-loop.ts'
import type { Change } from './changing.ts'

/** Of one change. Milliseconds. */
export interface Effect {
  /** From the write to its answer. */
  readonly answeredMs: number
  /** From the commit until the last request was sent that was answered by the old state; 0 if there was none after it. */
  readonly oldMs: number
  /** Requests that were sent after the write's answer, and answered by the old state. */
  readonly stale: number
  /** The longest that a request took that was due within `windowMs` before the write, and from the write on. */
  readonly longestBeforeMs: number
  readonly longestAfterMs: number
}

/** Long enough for a write, its commit and what nodes do then; short enough to end before the next one. */
const windowMs = 100
/** The client and the node are yet to be compiled. */
const warmUpMs = 1000

/** Of all changes that lie wholly within the time in which requests were sent; the first second of it is left out. */
export function effectsOf(changes: readonly Change[], result: OpenLoopResult): readonly Effect[] {
  const { dueMs, tookMs, sentMs, versions } = result
  const [startMs = 0, endMs = 0] = [dueMs[0], dueMs.at(-1)]
  const longest = (fromMs: number) =>
    Math.max(0, ...tookMs.filter((_, i) => isWithin(dueMs[i] as number, fromMs, windowMs)))
  return changes
    .filter((change) => change.sentMs - windowMs > startMs + warmUpMs && change.sentMs + windowMs < endMs)
    .map((change) => {
      const old = sentMs.filter((_, i) => (versions[i] as number) < change.version)
      return {
        answeredMs: change.answeredMs - change.sentMs,
        oldMs: Math.max(0, ...old.map((ms) => ms - change.committedMs)),
        stale: old.filter((ms) => ms > change.answeredMs).length,
        longestBeforeMs: longest(change.sentMs - windowMs),
        longestAfterMs: longest(change.sentMs),
      }
    })
}

function isWithin(ms: number, fromMs: number, lengthMs: number): boolean {
  return ms >= fromMs && ms < fromMs + lengthMs
}
