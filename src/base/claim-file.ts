// A claim between the processes of one machine: a file with the pid of the one process that has a thing. It counts
// for as long as that process runs and holds the file open, so a crash leaves nothing that anybody has to mend.
import type { BigIntStats } from 'node:fs'
import { type FileHandle, link, open, rename, rm, stat } from 'node:fs/promises'
import { codeOf } from './errors.ts'
import { isRunning, sameFile, writesTo } from './process.ts'
import type { Random } from './random.ts'

/** A file that changes hands more often than this while we look has others who want it, and get it. */
const attemptsMax = 10

export class ClaimFile {
  readonly #path: string
  readonly #handle: FileHandle
  readonly #file: BigIntStats

  private constructor(path: string, handle: FileHandle, file: BigIntStats) {
    this.#path = path
    this.#handle = handle
    this.#file = file
  }

  /**
   * Claims `path` for this process; a file that a dead process left there is replaced. Of all that try at once
   * exactly one gets it.
   * @returns  undefined when another has it, or is just getting it
   */
  static async claim(path: string, random: Random): Promise<ClaimFile | undefined> {
    if ((await claimantOf(path)) !== undefined) return undefined
    // Complete, and held open, before it appears under its real name.
    const temporary = `${path}.${random.hex(4)}`
    const handle = await open(temporary, 'wx', 0o644)
    try {
      await handle.writeFile(`${process.pid}\n`)
      if (await putAsOnly(temporary, path, random))
        return new ClaimFile(path, handle, await handle.stat({ bigint: true }))
    } catch (error) {
      await handle.close()
      throw error
    } finally {
      await rm(temporary, { force: true })
    }
    await handle.close()
    return undefined
  }

  /** Gives it up. A file that somebody has put there since is left alone. */
  async release(): Promise<void> {
    const there = await stat(this.#path, { bigint: true }).catch(() => undefined)
    // Removed before it is closed: while it is there, it is held.
    if (there && sameFile(there, this.#file)) await rm(this.#path, { force: true })
    await this.#handle.close()
  }
}

/** The pid of the process that has claimed `path`; undefined when none has. */
export async function claimantOf(path: string): Promise<number | undefined> {
  return (await look(path))?.claimant
}

/** Who is replacing a dead process' file at `path` claims this one meanwhile. */
export function takeoverPath(path: string): string {
  return `${path}.takeover`
}

async function putAsOnly(temporary: string, path: string, random: Random): Promise<boolean> {
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    if (await linkNew(temporary, path)) return true
    if ((await claimantOf(path)) !== undefined) return false
    const replaced = await replaceDead(temporary, path, random)
    if (replaced !== undefined) return replaced
  }
  return false
}

/**
 * Puts the file in the place of a dead process'. To look and then to replace are two steps, between which another
 * could put its own there; so this is done under a claim of its own. That can be left by a crash as well, and is
 * taken over in the same way: each level takes another crash at just this point.
 * @returns  false when another is at it; undefined when there is no dead process' file any more
 */
async function replaceDead(temporary: string, path: string, random: Random): Promise<boolean | undefined> {
  const takeover = await ClaimFile.claim(takeoverPath(path), random)
  if (!takeover) return false
  try {
    const found = await look(path)
    if (!found || found.claimant !== undefined) return undefined
    await rename(temporary, path)
    return true
  } finally {
    await takeover.release()
  }
}

/**
 * What is at `path`, or undefined when there is nothing. A file without a claimant stays as it is until somebody
 * replaces it: who releases a claim removes the file first, and that is looked for last.
 */
async function look(path: string): Promise<{ readonly claimant: number | undefined } | undefined> {
  const handle = await openExisting(path)
  if (!handle) return undefined
  try {
    const file = await handle.stat({ bigint: true })
    const claimant = await claimantIn(await handle.readFile('utf8'), file)
    if (claimant !== undefined) return { claimant }
    // Our handle keeps the inode from being given to another file meanwhile.
    const there = await stat(path, { bigint: true }).catch(() => undefined)
    return there && sameFile(there, file) ? { claimant } : undefined
  } finally {
    await handle.close()
  }
}

/**
 * A process with that pid which does not hold the file open is another one: a pid that was reused, or is the same
 * in every container. Where that can't be seen, a running process is believed.
 */
async function claimantIn(text: string, file: BigIntStats): Promise<number | undefined> {
  const pid = /^\d+$/.test(text.trim()) ? Number(text) : 0
  if (pid === 0 || !(await isRunning(pid))) return undefined
  const holds = (await writesTo(pid, file)) ?? (await isRunning(pid))
  return holds ? pid : undefined
}

async function linkNew(temporary: string, path: string): Promise<boolean> {
  try {
    await link(temporary, path)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

async function openExisting(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}
