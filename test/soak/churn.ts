// Entities come, change and go through all nodes, and after each write that was called complete every node is asked
// whether it serves what it must.
import { systemClock } from '../../src/base/clock.ts'
import { systemRandom } from '../../src/base/random.ts'
import type { NodeProcess } from '../support/node-process.ts'

export interface ChurnCounts {
  /** Writes by outcome: those answered with k of m are incomplete; those that failed were told so. */
  complete: number
  incomplete: number
  refused: number
  /** Looks at a node after a complete write, and what they found. */
  looked: number
  stale: number
  unanswered: number
}

/** Longer than a node is paused, or away to restart. */
const patienceMs = 20_000

/** Who makes entities, one after the other, at a steady pace. */
export class Churn {
  readonly counts: ChurnCounts = {
    complete: 0,
    incomplete: 0,
    refused: 0,
    looked: 0,
    stale: 0,
    unanswered: 0,
  }
  readonly #nodes: readonly NodeProcess[]
  readonly #upstream: string
  readonly #gapMs: number
  readonly #loops: Promise<void>[]
  #stopping = false

  /** @param lives  entities that live at the same time; each is three writes */
  constructor(
    nodes: readonly NodeProcess[],
    upstream: string,
    { writesPerS, lives }: { writesPerS: number; lives: number },
  ) {
    this.#nodes = nodes
    this.#upstream = upstream
    this.#gapMs = (1000 * lives) / writesPerS
    this.#loops = Array.from({ length: lives }, () => this.#loop())
  }

  async stop(): Promise<ChurnCounts> {
    this.#stopping = true
    await Promise.all(this.#loops)
    return this.counts
  }

  async #loop(): Promise<void> {
    while (!this.#stopping) {
      const name = `soak-${systemRandom.hex(8)}`
      const api = { name, request_path: `/${name}`, upstream_url: this.#upstream, strip_request_path: true }
      await this.#write('POST', '/apis', api, [name, 200])
      await this.#write('PATCH', `/apis/${name}`, { upstream_url: `${this.#upstream}/changed` }, [name, 200])
      await this.#write('DELETE', `/apis/${name}`, undefined, [name, 404])
    }
  }

  async #write(
    method: string,
    path: string,
    body: Record<string, string | boolean> | undefined,
    [name, status]: [string, number],
  ) {
    const due = systemClock.monotonic() + this.#gapMs
    const node = this.#nodes[Math.floor(systemRandom.fraction() * this.#nodes.length)] as NodeProcess
    const signal = AbortSignal.timeout(patienceMs)
    const headers = { 'content-type': 'application/json' }
    const init = { method, headers, signal, ...(body && { body: JSON.stringify(body) }) }
    const answer = await fetch(`${node.admin}${path}`, init).catch(() => undefined)
    await answer?.arrayBuffer().catch(() => undefined)
    if (!answer?.ok) this.counts.refused++
    else if (answer.headers.has('x-troop-lagging')) this.counts.incomplete++
    else {
      this.counts.complete++
      await Promise.all(this.#nodes.map((one) => this.#look(one, `/${name}`, status)))
    }
    await systemClock.sleep(Math.max(0, due - systemClock.monotonic()))
  }

  /** One that does not answer, or says that it can't, serves nothing that is stale. */
  async #look(node: NodeProcess, path: string, expected: number): Promise<void> {
    const signal = AbortSignal.timeout(patienceMs)
    const answer = await fetch(`${node.proxy}${path}`, { signal }).catch(() => undefined)
    await answer?.arrayBuffer().catch(() => undefined)
    this.counts.looked++
    if (!answer || answer.status >= 500) this.counts.unanswered++
    else if (answer.status !== expected) this.counts.stale++
  }
}
