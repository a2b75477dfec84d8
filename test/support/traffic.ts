// Clients that never stop asking, for tests of what they see meanwhile.
import { systemClock } from '../../src/base/clock.ts'
import type { NodeProcess } from './node-process.ts'

/** Calls each path again and again and counts the answers by status. */
export class Traffic {
  readonly #counts = new Map<string, Record<string, number>>()
  readonly #loops: Promise<void>[]
  #stopping = false

  constructor(node: NodeProcess, paths: readonly string[]) {
    this.#loops = paths.map((path) => this.#loop(node, path))
  }

  /** Counts by path, then by status. */
  async stop(): Promise<ReadonlyMap<string, Record<string, number>>> {
    this.#stopping = true
    await Promise.all(this.#loops)
    return this.#counts
  }

  async #loop(node: NodeProcess, path: string): Promise<void> {
    const counts: Record<string, number> = {}
    this.#counts.set(path, counts)
    while (!this.#stopping) {
      const status = await node.call(path).then(
        (answer) => String(answer.status),
        (error) => String(error),
      )
      counts[status] = (counts[status] ?? 0) + 1
      await systemClock.sleep(5)
    }
  }
}
