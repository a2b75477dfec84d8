// How long to wait before trying again.
import type { Random } from './random.ts'

export interface BackoffOptions {
  /** The first wait. */
  readonly firstMs: number
  /** No wait is longer; higher is kinder to a struggling peer and slower to notice that it is back. */
  readonly mostMs: number
}

/**
 * The wait before attempt `attempt` (0 is the first retry): doubling from `firstMs` up to `mostMs`, of which a
 * random half is taken away so that many nodes do not come back in step.
 */
export function backoffMs(attempt: number, { firstMs, mostMs }: BackoffOptions, random: Random): number {
  const full = Math.min(mostMs, firstMs * 2 ** Math.min(attempt, 30))
  return full * (0.5 + random.fraction() / 2)
}
