// How the nodes of the local cluster are, as a person at the terminal is shown it.
import { systemClock } from '../base/clock.ts'
import type { LocalNode } from './local-node.ts'

/** One node. Undefined and null are what nobody knows. */
export interface NodeView {
  readonly number: number
  readonly proxy: string
  readonly admin: string
  readonly pid: number | undefined
  readonly status: string | undefined
  readonly applied: number | null
  /** Events that it has not applied. */
  readonly lag: number | null
  /** The newest change, if the node was seen to apply one. */
  readonly change: NewestChange | undefined
}

export interface NewestChange {
  /** Milliseconds since it was seen. */
  readonly agoMs: number
  /** On which way it came first: `write`, `push`, `notify` and so on. */
  readonly path: string
  /** Milliseconds from its commit. */
  readonly tookMs: number
}

/** What is looked at of a node. */
export type Watched = Pick<LocalNode, 'number' | 'proxy' | 'admin' | 'pid' | 'name'>

/** The part of `GET /cluster/positions` that is shown. */
interface Positions {
  readonly data: readonly Position[]
}

interface Position {
  readonly name: string
  readonly status: string
  readonly applied: number | null
  readonly lag: number | null
  readonly propagation: Readonly<Record<string, number>>
}

/** A node that asks one that is paused waits a second for it. */
const answerLimitMs = 2500

export class Overview {
  readonly #nodes: readonly Watched[]
  /** The one that answered last. */
  #asked = 0
  readonly #known = new Map<
    string,
    { position: Position; change?: Omit<NewestChange, 'agoMs'>; seenMs: number }
  >()

  constructor(nodes: readonly Watched[]) {
    this.#nodes = nodes
  }

  /** How they are now, by the word of the first that answers. */
  async look(signal: AbortSignal): Promise<readonly NodeView[]> {
    const positions = (await this.#ask(signal))?.data ?? []
    for (const position of positions) this.#note(position)
    return Promise.all(
      this.#nodes.map(async (node): Promise<NodeView> => {
        const [pid, name] = await Promise.all([node.pid(), node.name()])
        const { status, applied = null, lag = null } = positions.find((one) => one.name === name) ?? {}
        const { number, proxy, admin } = node
        return { number, proxy, admin, pid, status, applied, lag, change: this.#changeOf(name) }
      }),
    )
  }

  async #ask(signal: AbortSignal): Promise<Positions | undefined> {
    for (let i = 0; i < this.#nodes.length && !signal.aborted; i++) {
      const number = (this.#asked + i) % this.#nodes.length
      try {
        const limit = AbortSignal.any([signal, AbortSignal.timeout(answerLimitMs)])
        const response = await fetch(`${this.#nodes[number]?.admin}/cluster/positions`, { signal: limit })
        if (!response.ok) continue
        this.#asked = number
        return (await response.json()) as Positions
      } catch {
        // It was ended, perhaps on purpose: the next one knows.
      }
    }
    return undefined
  }

  /** A change came on the way whose time is another than before. */
  #note(position: Position): void {
    const before = this.#known.get(position.name)
    if (before && before.position.applied === position.applied) return
    const ways = Object.entries(position.propagation)
    const [path, tookMs] = ways.find(([way, ms]) => before?.position.propagation[way] !== ms) ?? []
    const change = before && path !== undefined && tookMs !== undefined ? { path, tookMs } : undefined
    this.#known.set(position.name, { position, ...(change && { change }), seenMs: systemClock.monotonic() })
  }

  #changeOf(name: string | undefined): NewestChange | undefined {
    const { change, seenMs = 0 } = this.#known.get(name ?? '') ?? {}
    return change && { ...change, agoMs: systemClock.monotonic() - seenMs }
  }
}
