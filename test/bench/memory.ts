// How far what a cache believes to hold is from what its entries take of the heap, kind by kind.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { HeapUse } from '../support/heap-use.ts'
import { table } from '../support/measure.ts'

export async function bench(): Promise<string> {
  const rows = (await heapUses()).map(({ kind, made, real, estimated }) => {
    const ratio = (estimated / real).toFixed(3)
    return [kind, made, real.toFixed(0), estimated.toFixed(0), ratio]
  })
  return table([['entries', 'made by', 'heap bytes', 'estimated', 'ratio'], ...rows])
}

/** Measured in a process of its own, where nothing else comes and goes. */
export async function heapUses(): Promise<readonly HeapUse[]> {
  const file = join(import.meta.dirname, '../support/heap-use.ts')
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', file])
  return JSON.parse(stdout)
}
