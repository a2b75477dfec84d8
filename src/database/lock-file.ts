// A lock between processes of one machine: a file that only one of them can create. It keeps two nodes from
// initialising or starting the same server at once; that doing so does no harm is seen to by initdb's directory
// being renamed when complete, and by Postgres' own postmaster.pid.
import { open, readFile, rename, rm, stat, utimes } from 'node:fs/promises'
import type { Clock } from '../base/clock.ts'
import { codeOf } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { EmbeddedPostgresFailed } from './errors.ts'
import { isAlive } from './postmaster.ts'

export interface LockFileOptions {
  readonly path: string
  readonly clock: Clock
  readonly random: Random
}

/** How often the holder touches the file. */
const touchMs = 2_000
/** A file not touched for so long is nobody's, even if its process id lives: that is another program by now. */
const staleMs = 30_000
/** Longer than the longest initialisation and start that a holder may be at. */
const waitMs = 300_000
const pollMs = 50

/** Runs `act` while holding the lock. A lock left by a process that is gone is taken over. */
export async function withLockFile<T>(options: LockFileOptions, act: () => Promise<T>): Promise<T> {
  const { path, clock } = options
  const deadline = clock.monotonic() + waitMs
  while (!(await create(path))) {
    await removeStale(options)
    if (clock.monotonic() > deadline) {
      throw new EmbeddedPostgresFailed(`${path} is held by process ${await holder(path)} for too long`, {
        hint: `remove ${path} if that process is not troop`,
      })
    }
    await clock.sleep(pollMs)
  }
  const touching = new AbortController()
  const touched = touch(path, clock, touching.signal)
  try {
    return await act()
  } finally {
    touching.abort()
    await touched
    await rm(path, { force: true })
  }
}

async function create(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o600)
    await file.writeFile(`${process.pid}\n`)
    await file.close()
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

async function touch(path: string, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(touchMs, signal)
    // Gone if somebody took it for stale, e.g. after this machine slept: too late to mend.
    await utimes(path, clock.now() / 1000, clock.now() / 1000).catch(() => {})
  }
}

/** Renamed before it is removed, so that of two that find it stale one gets it. */
async function removeStale({ path, clock, random }: LockFileOptions): Promise<void> {
  try {
    const { mtimeMs } = await stat(path)
    const pid = await holder(path)
    const abandoned = clock.now() - mtimeMs > staleMs
    // Empty for the moment between its creation and its first line.
    if (!abandoned && (pid === undefined || isAlive(pid))) return
    const aside = `${path}.${random.hex(4)}`
    await rename(path, aside)
    await rm(aside, { force: true })
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

async function holder(path: string): Promise<number | undefined> {
  return Number.parseInt(await readFile(path, 'utf8'), 10) || undefined
}
