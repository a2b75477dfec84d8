// The directory that a node lives in: its name, its pid, its control token and its logs. One node at a time.
import { access, constants, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ClaimFile, claimantOf, takeoverPath } from '../base/claim-file.ts'
import { codeOf } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { NodeRunning, WorkingDirUnusable } from './errors.ts'

export interface WorkingDir {
  readonly path: string
  /** The running node's pid, alone on its line. */
  readonly pidFile: string
  /** What a node in the background prints. */
  readonly logFile: string
  /** Address and token of the running node's control, see control/token.ts. */
  readonly controlFile: string
  /** The node's name, kept over restarts. */
  readonly nameFile: string
  /** The certificate that the node made for itself, and its key. */
  readonly certificateFile: string
  readonly keyFile: string
}

export function workingDirAt(path: string): WorkingDir {
  return {
    path,
    pidFile: join(path, 'troop.pid'),
    logFile: join(path, 'logs', 'troop.log'),
    controlFile: join(path, 'control.json'),
    nameFile: join(path, 'node-name'),
    certificateFile: join(path, 'ssl', 'troop-default.crt'),
    keyFile: join(path, 'ssl', 'troop-default.key'),
  }
}

/**
 * Makes the directory and the one for logs where they are missing.
 * @returns  whether the directory had to be made
 * @throws {WorkingDirUnusable} when it is something else, has no room, or this user may not read, write and enter it
 */
export async function prepareWorkingDir(path: string, random: Random): Promise<boolean> {
  const existing = await stat(path).catch((error) => {
    if (codeOf(error) === 'ENOENT') return undefined
    throw new WorkingDirUnusable(path, 'cannot be looked at', error)
  })
  if (existing && !existing.isDirectory()) throw new WorkingDirUnusable(path, 'is not a directory')
  try {
    await mkdir(join(path, 'logs'), { recursive: true })
  } catch (error) {
    throw new WorkingDirUnusable(path, existing ? 'is not writable' : 'cannot be created', error)
  }
  for (const [mode, ability] of [
    [constants.R_OK, 'readable'],
    [constants.W_OK, 'writable'],
    [constants.X_OK, 'executable'],
  ] as const) {
    await access(path, mode).catch((error) => {
      throw new WorkingDirUnusable(path, `is not ${ability}`, error)
    })
  }
  await requireRoom(path, random)
  return existing === undefined
}

/** Far more than all that a node keeps there, its log apart. */
const roomBytes = 64 * 1024

/** Whether there is room is known when something was written: before the node has begun anything. */
async function requireRoom(path: string, random: Random): Promise<void> {
  const probe = join(path, `room.${random.hex(4)}`)
  try {
    await writeFile(probe, Buffer.alloc(roomBytes), { flush: true })
  } catch (error) {
    throw new WorkingDirUnusable(path, 'cannot be written to', error)
  } finally {
    await rm(probe, { force: true })
  }
}

/** The name in `file`, or a new one that is kept there. */
export async function keepName(file: string, newName: string, random: Random): Promise<string> {
  const known = await readFile(file, 'utf8').catch((error) => {
    if (codeOf(error) === 'ENOENT') return ''
    throw error
  })
  if (known.trim() !== '') return known.trim()
  return replaceName(file, newName, random)
}

/** Keeps `name` in `file` from now on, and returns it. */
export async function replaceName(file: string, name: string, random: Random): Promise<string> {
  const temporary = `${file}.${random.hex(4)}`
  await writeFile(temporary, `${name}\n`, { flush: true })
  await rename(temporary, file)
  return name
}

/** The pid file of this process, which tells all others that a node runs here. */
export class PidFile {
  readonly #claim: ClaimFile

  private constructor(claim: ClaimFile) {
    this.#claim = claim
  }

  /**
   * Takes the directory for this process. What a crashed node left behind is replaced.
   * @throws {NodeRunning} when a node runs there, or is starting
   */
  static async claim(path: string, random: Random): Promise<PidFile> {
    const claim = await ClaimFile.claim(path, random)
    if (claim) return new PidFile(claim)
    const pid = (await runningPid(path)) ?? (await claimantOf(takeoverPath(path)))
    throw new NodeRunning(pid ?? 0, path)
  }

  /** Gives the directory free. A file that another process has put there since is left alone. */
  async release(): Promise<void> {
    await this.#claim.release()
  }
}

/** The pid of the node that runs in the directory of this pid file; undefined when none does. */
export async function runningPid(path: string): Promise<number | undefined> {
  return claimantOf(path)
}
