// The directory that a node lives in: its name, its pid, its control token and its logs. One node at a time.
import type { Stats } from 'node:fs'
import {
  access,
  constants,
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
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
}

export function workingDirAt(path: string): WorkingDir {
  return {
    path,
    pidFile: join(path, 'troop.pid'),
    logFile: join(path, 'logs', 'troop.log'),
    controlFile: join(path, 'control.json'),
    nameFile: join(path, 'node-name'),
  }
}

/**
 * Makes the directory and the one for logs where they are missing.
 * @returns  whether the directory had to be made
 * @throws {WorkingDirUnusable} when it is something else, or this user may not read, write and enter it
 */
export async function prepareWorkingDir(path: string): Promise<boolean> {
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
  return existing === undefined
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

/**
 * The pid file of this process. It stays open for as long as the node runs: a process with that pid which does
 * not hold the file open is another one, so a pid that was reused, or is the same in every container, is not
 * taken for a running node.
 */
export class PidFile {
  readonly #path: string
  readonly #handle: FileHandle
  readonly #file: Stats

  private constructor(path: string, handle: FileHandle, file: Stats) {
    this.#path = path
    this.#handle = handle
    this.#file = file
  }

  /**
   * Takes the directory for this process. What a crashed node left behind is replaced.
   * @throws {NodeRunning} when a node runs there
   */
  static async claim(path: string, random: Random): Promise<PidFile> {
    const temporary = `${path}.${random.hex(4)}`
    const handle = await open(temporary, 'wx', 0o644)
    try {
      await handle.writeFile(`${process.pid}\n`)
      await linkAsOnly(temporary, path)
      return new PidFile(path, handle, await handle.stat())
    } catch (error) {
      await handle.close()
      throw error
    } finally {
      await rm(temporary, { force: true })
    }
  }

  /** Gives the directory free. A file that another process has put there since is left alone. */
  async release(): Promise<void> {
    const there = await stat(this.#path).catch(() => undefined)
    if (there && sameFile(there, this.#file)) await rm(this.#path, { force: true })
    await this.#handle.close()
  }
}

/** The pid of the node that runs in the directory of this pid file; undefined when none does. */
export async function runningPid(path: string): Promise<number | undefined> {
  const text = await readFile(path, 'utf8').catch((error) => {
    if (codeOf(error) === 'ENOENT') return ''
    throw error
  })
  const pid = /^\d+$/.test(text.trim()) ? Number(text) : 0
  if (pid === 0 || !isAlive(pid)) return undefined
  return (await holdsFile(pid, path)) ? pid : undefined
}

/**
 * Links the file under its real name, as the only one with a say. One stale file is cleared away; who finds
 * another in its place has lost to a node that is starting now.
 */
async function linkAsOnly(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
    const pid = await runningPid(path)
    if (pid !== undefined) throw new NodeRunning(pid, path)
    await rm(path, { force: true })
    await link(temporary, path).catch(async (again) => {
      throw codeOf(again) === 'EEXIST' ? new NodeRunning((await runningPid(path)) ?? 0, path) : again
    })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Another user's process is alive as well.
    return codeOf(error) === 'EPERM'
  }
}

/** Whether the process has the file open. Where that can't be seen, a living process is believed. */
async function holdsFile(pid: number, path: string): Promise<boolean> {
  if (process.platform !== 'linux') return true
  if (await isZombie(pid)) return false
  try {
    const file = await stat(path)
    for (const descriptor of await readdir(`/proc/${pid}/fd`)) {
      const held = await stat(`/proc/${pid}/fd/${descriptor}`).catch(() => undefined)
      if (held && sameFile(held, file)) return true
    }
    return false
  } catch (error) {
    return codeOf(error) === 'EACCES' || codeOf(error) === 'EPERM'
  }
}

/** Ended, but its parent has not asked how: it still has a pid and answers signal 0. */
async function isZombie(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The name, in parentheses, may hold anything; the state follows its last one (proc(5)).
  return text.slice(text.lastIndexOf(')') + 2, text.lastIndexOf(')') + 3) === 'Z'
}

function sameFile(a: Stats, b: Stats): boolean {
  return a.ino === b.ino && a.dev === b.dev
}
