// What `postmaster.pid` says: the file by which a Postgres server marks its data directory as taken.
import { readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../base/errors.ts'
import { isRunning, programOf, worksIn } from '../base/process.ts'

export interface Postmaster {
  readonly pid: number
  /** 0 while the server is too young to have written it. */
  readonly port: number
  readonly state: 'starting' | 'ready' | 'stopping'
}

/**
 * The server that runs on the data directory `data`, or undefined. A file left behind by a dead server does
 * not count, nor one whose process id has meanwhile gone to another program.
 */
export async function readPostmaster(data: string): Promise<Postmaster | undefined> {
  const postmaster = parsePostmaster(await read(pidFileIn(data)))
  if (!postmaster || !(await isRunning(postmaster.pid))) return undefined
  return (await isForeign(postmaster.pid, data)) ? undefined : postmaster
}

/** Where the server on `data` keeps its mark. */
export function pidFileIn(data: string): string {
  return join(data, 'postmaster.pid')
}

/**
 * Removes a file left by a dead server whose process id has gone to another program: Postgres itself would take
 * that one for a server and refuse to start. Files of ids that nobody has, it replaces by itself. A server whose
 * file is removed shuts itself down, so whatever might be the server on `data` keeps its file.
 */
export async function removeForeignPid(data: string): Promise<void> {
  const postmaster = parsePostmaster(await read(pidFileIn(data)))
  if (!postmaster || !(await isRunning(postmaster.pid))) return
  if (await isForeign(postmaster.pid, data)) await rm(pidFileIn(data), { force: true })
}

/**
 * Parses `postmaster.pid`: process id, data directory, start time, port, socket directory, listen address,
 * shared memory key and state, a line each (src/include/utils/pidfile.h). The last ones come while it starts.
 */
export function parsePostmaster(text: string): Postmaster | undefined {
  const lines = text.split('\n').map((line) => line.trim())
  const pid = Number(lines[0])
  if (!Number.isInteger(pid) || pid <= 0) return undefined
  const state = lines[7] === 'ready' || lines[7] === 'stopping' ? lines[7] : 'starting'
  return { pid, port: Number(lines[3] ?? 0), state }
}

/**
 * Whether the process is certainly not the server on `data`: another program, or a Postgres at work elsewhere. A
 * server works in its data directory, which is compared as such: there may be several paths to it. Where none of
 * this can be seen, the process is believed.
 */
async function isForeign(pid: number, data: string): Promise<boolean> {
  const program = await programOf(pid)
  if (program !== undefined && !program.includes('postgres')) return true
  return (await worksIn(pid, await stat(data, { bigint: true }))) === false
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return ''
    throw error
  }
}
