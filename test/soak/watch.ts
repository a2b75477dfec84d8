// Looks at nodes and at the log now and then, and keeps what it saw.
import { systemClock } from '../../src/base/clock.ts'
import type { NodeProcess } from '../support/node-process.ts'
import { type Usage, usageOf } from './usage.ts'
import type { Sample } from './verdict.ts'

const sampleMs = 5000

export class Watch {
  readonly nodes: readonly NodeProcess[]
  readonly usages: { readonly atMs: number; readonly usages: readonly Usage[] }[] = []
  readonly events: number[] = []
  readonly #countEvents: () => Promise<number>

  constructor(nodes: readonly NodeProcess[], count: () => Promise<number>) {
    this.nodes = nodes
    this.#countEvents = count
  }

  async run(end: number): Promise<void> {
    while (systemClock.monotonic() < end) {
      await systemClock.sleep(sampleMs)
      const usages = await Promise.all(this.nodes.map(usageOf))
      this.usages.push({ atMs: systemClock.monotonic(), usages })
      this.events.push(await this.#countEvents())
    }
  }

  series(node: number, measure: keyof Usage): Sample[] {
    return this.usages.map(({ atMs, usages }) => ({ atMs, value: usages[node]?.[measure] as number }))
  }
}
