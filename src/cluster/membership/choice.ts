// Choosing by chance.
import type { Random } from '../../base/random.ts'

/** `items` in an order of chance (Fisher and Yates). */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const all = [...items]
  for (let last = all.length - 1; last > 0; last--) {
    const other = Math.floor(random.fraction() * (last + 1))
    const moved = all[last] as T
    all[last] = all[other] as T
    all[other] = moved
  }
  return all
}
