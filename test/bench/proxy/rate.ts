// A client that asks at a fixed rate, in a process of its own (open-loop.ts).
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { OpenLoopPlan, OpenLoopResult } from './open-loop.ts'

/** Half a million requests. */
const outputBytesMax = 32 * 1024 * 1024

/** @param prefix  put before the client's own command: what pins it to a core */
export async function askAtRate(plan: OpenLoopPlan, prefix: readonly string[] = []): Promise<OpenLoopResult> {
  const script = join(import.meta.dirname, 'open-loop.ts')
  const [program = '', ...args] = [...prefix, process.execPath, script, JSON.stringify(plan)]
  const { stdout } = await promisify(execFile)(program, args, { maxBuffer: outputBytesMax })
  return JSON.parse(stdout) as OpenLoopResult
}
