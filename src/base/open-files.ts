// How many descriptors this process may hold, and does: each connection takes one. Linux tells, in /proc (proc(5)).
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { codeOf } from './errors.ts'

/** Undefined: it can't be seen, or there is no limit. Node has raised it to the hard limit when it began. */
export function openFilesMax(): number | undefined {
  try {
    const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return soft === undefined ? undefined : Number(soft)
  } catch {
    return undefined
  }
}

/** Undefined where it can't be seen, for want of a descriptor among other reasons. */
export function openFiles(): number | undefined {
  try {
    // Kernels before 6.2 do not count them for us; to read the directory takes one more.
    return statSync('/proc/self/fd').size || readdirSync('/proc/self/fd').length - 1
  } catch {
    return undefined
  }
}

/** Whether it failed since this process, or the machine, has no descriptor left. */
export function isOutOfFiles(error: unknown): boolean {
  return ['EMFILE', 'ENFILE'].includes(codeOf(error) ?? '')
}
