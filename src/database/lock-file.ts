// A lock between processes of one machine. It keeps two nodes from initialising or starting the same server at
// once; that doing so does no harm is seen to by initdb's directory being renamed when complete, and by Postgres'
// own postmaster.pid.
import { ClaimFile, claimantOf } from '../base/claim-file.ts'
import type { Clock } from '../base/clock.ts'
import type { Random } from '../base/random.ts'
import { EmbeddedPostgresFailed, WaitInterrupted } from './errors.ts'

export interface LockFileOptions {
  readonly path: string
  readonly clock: Clock
  readonly random: Random
  /** Ends the waiting for the lock; who has it is not disturbed. */
  readonly signal?: AbortSignal | undefined
}

/** Longer than the longest initialisation and start that a holder may be at. */
const waitMs = 300_000
const pollMs = 50

/**
 * Runs `act` while holding the lock. A lock left by a process that is gone is taken over.
 * @throws {WaitInterrupted} when the signal aborts while another holds it
 */
export async function withLockFile<T>(options: LockFileOptions, act: () => Promise<T>): Promise<T> {
  const lock = await take(options)
  try {
    return await act()
  } finally {
    await lock.release()
  }
}

async function take({ path, clock, random, signal }: LockFileOptions): Promise<ClaimFile> {
  const deadline = clock.monotonic() + waitMs
  while (!signal?.aborted) {
    const lock = await ClaimFile.claim(path, random)
    if (lock) return lock
    if (clock.monotonic() > deadline) {
      throw new EmbeddedPostgresFailed(`${path} is held by process ${await claimantOf(path)} for too long`, {
        hint: `remove ${path} if that process is not troop`,
      })
    }
    await clock.sleep(pollMs, signal)
  }
  throw new WaitInterrupted(`the lock ${path}`)
}
