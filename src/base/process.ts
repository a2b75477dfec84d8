// What can be seen of the other processes on this machine: by signal 0 everywhere, and on Linux in /proc (proc(5)).
// `undefined` is "can't be seen": there is no /proc, or this user may not look.
import { type BigIntStats, readFileSync, readlinkSync } from 'node:fs'
import { lstat, readdir, readFile, stat } from 'node:fs/promises'
import { codeOf } from './errors.ts'

/** Whether a process of this id runs, whoever owns it. One that ended and was not buried by its parent does not. */
export async function isRunning(pid: number): Promise<boolean> {
  return exists(pid) && !/^[ZX]/.test((await statusOf(pid))?.state ?? '')
}

/** The name of the program that the process runs, e.g. `postgres`; cut at 15 bytes. */
export async function programOf(pid: number): Promise<string | undefined> {
  return (await statusOf(pid))?.program
}

/** Whether the directory is the process' working directory, by whatever path it got there. */
export async function worksIn(pid: number, directory: BigIntStats): Promise<boolean | undefined> {
  const found = await seen(() => stat(`/proc/${pid}/cwd`, { bigint: true }))
  return found && sameFile(found, directory)
}

/** Whether the process has the file open for writing. */
export async function writesTo(pid: number, file: BigIntStats): Promise<boolean | undefined> {
  const descriptors = await seen(() => readdir(`/proc/${pid}/fd`))
  if (!descriptors) return undefined
  for (const descriptor of descriptors) {
    const path = `/proc/${pid}/fd/${descriptor}`
    const opened = await seen(() => stat(path, { bigint: true }))
    // The link's own permissions tell how the file was opened.
    if (opened && sameFile(opened, file) && (((await seen(() => lstat(path)))?.mode ?? 0) & 0o200) !== 0)
      return true
  }
  return false
}

/** Exact only for bigints: file systems that are laid over others set the upper bits of their inode numbers. */
export function sameFile(a: BigIntStats, b: BigIntStats): boolean {
  return a.ino === b.ino && a.dev === b.dev
}

/** What the system did with a thread of this process since that began. */
export interface ThreadTimes {
  readonly ranMs: number
  /** It could have run, and there was no processor for it. */
  readonly queuedMs: number
}

/** By which `threadTimes` finds the thread that asks. */
export function ownThread(): string | undefined {
  try {
    return readlinkSync('/proc/thread-self')
  } catch {
    return undefined
  }
}

/** Read at once, in some microseconds: who asks may not wait for the threads that others keep busy with files. */
export function threadTimes(thread: string): ThreadTimes | undefined {
  try {
    const [ran, queued] = readFileSync(`/proc/${thread}/schedstat`, 'utf8').split(' ')
    return { ranMs: Number(ran) / 1e6, queuedMs: Number(queued) / 1e6 }
  } catch {
    return undefined
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Another user's process exists as well.
    return codeOf(error) === 'EPERM'
  }
}

/** `/proc/<pid>/stat` is `<pid> (<program>) <state> …`, where the program's name may hold anything. */
async function statusOf(pid: number): Promise<{ program: string; state: string } | undefined> {
  const text = (await seen(() => readFile(`/proc/${pid}/stat`, 'utf8'))) ?? ''
  const [, program, state] = /^\d+ \((.*)\) (\S)/s.exec(text) ?? []
  return program !== undefined && state !== undefined ? { program, state } : undefined
}

async function seen<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look()
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(codeOf(error) ?? '')) return undefined
    throw error
  }
}
