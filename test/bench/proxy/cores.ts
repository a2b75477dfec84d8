// Which core does what: the proxies have one for themselves, so that whatever else runs takes none of theirs.
import { execFile } from 'node:child_process'
import { availableParallelism, loadavg } from 'node:os'
import { promisify } from 'node:util'
import { findProgram } from '../../support/program.ts'

const cores = { proxy: 1, others: 0 }

export class Cores {
  /** False where there is only one, or no taskset. */
  readonly #isSplit = availableParallelism() > 1 && findProgram('taskset') !== undefined
  /** The machine, as a benchmark says it before its table. */
  readonly machine = `${availableParallelism()} cores, load ${loadavg()[0]?.toFixed(1)} before it began`

  /** Words before the command of what is to run beside the proxies. */
  get besides(): readonly string[] {
    return this.#isSplit ? ['taskset', '-c', String(cores.others)] : []
  }

  /** All threads of a process. */
  async pin(pid: number, what: keyof typeof cores): Promise<void> {
    if (this.#isSplit) await promisify(execFile)('taskset', ['-acp', String(cores[what]), String(pid)])
  }
}
