// What `postmaster.pid` says: the file by which a Postgres server marks its data directory as taken.
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '../base/errors.ts'

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
  const postmaster = parsePostmaster(await read(join(data, 'postmaster.pid')))
  if (!postmaster || !isAlive(postmaster.pid)) return undefined
  return (await isPostgresOn(postmaster.pid, data)) ? postmaster : undefined
}

/**
 * Removes a file left by a dead server whose process id has gone to another program: Postgres itself would take
 * that one for a server and refuse to start. Files of ids that nobody has, it replaces by itself.
 */
export async function removeForeignPid(data: string): Promise<void> {
  const postmaster = parsePostmaster(await read(join(data, 'postmaster.pid')))
  if (!postmaster || !isAlive(postmaster.pid) || (await isPostgresOn(postmaster.pid, data))) return
  await rm(join(data, 'postmaster.pid'), { force: true })
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

/** Whether a process of this id exists, whoever owns it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
}

/** Whether process `pid` is a Postgres server started on `data`. Where that can't be seen, it counts as one. */
async function isPostgresOn(pid: number, data: string): Promise<boolean> {
  // A container without an init process never buries its dead. After the name in brackets comes the state.
  if (/^\d+ \(.*\) [ZX]/s.test(await read(`/proc/${pid}/stat`))) return false
  const command = await read(`/proc/${pid}/cmdline`)
  return command === '' || (command.includes('postgres') && command.split('\0').includes(data))
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESRCH' || codeOf(error) === 'EACCES') return ''
    throw error
  }
}
