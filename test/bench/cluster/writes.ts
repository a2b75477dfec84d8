// How long a write takes until it is answered, by its way: they take turns, so that a slow moment hits all.
import { systemClock } from '../../../src/base/clock.ts'
import type { Fleet } from './fleet.ts'
import { type Way, Writer } from './writer.ts'

/** Durations by way. */
export type WriteTimes = Readonly<Record<Way, readonly number[]>> & { readonly incomplete: number }

/** Between two writes: what the one before caused on the other nodes is over by then. */
const pauseMs = 50
/** The first writes make connections and plans, and are not counted. */
const warmUps = 5

export async function timeWrites(fleet: Fleet, rounds: number): Promise<WriteTimes> {
  const times = { commit: [] as number[], none: [] as number[], all: [] as number[] }
  const writer = new Writer(fleet)
  try {
    for (let round = -warmUps; round < rounds; round++) {
      for (const way of ['commit', 'none', 'all'] as const) {
        await systemClock.sleep(pauseMs)
        const start = systemClock.monotonic()
        await writer.write(way, `written-${way}-${round}`)
        if (round >= 0) times[way].push(systemClock.monotonic() - start)
      }
    }
    return { ...times, incomplete: writer.incomplete }
  } finally {
    await writer.stop()
  }
}
