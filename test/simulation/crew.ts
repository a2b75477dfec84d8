// Processes that run seeds side by side, each for itself: a seed knows nothing of another.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Block, runBlock, type Sum } from './tally.ts'

/** What a process has used since it began. */
export interface Used {
  readonly cpuMs: number
  readonly memoryBytes: number
}

/** Somebody who runs seeds. */
export interface Hand {
  run(block: Block): Promise<Sum>
  used(): Used
  stop(): void
}

export type Reply = { readonly sum: Sum; readonly used: Used }

export function usedHere(): Used {
  const { user, system } = process.cpuUsage()
  return { cpuMs: (user + system) / 1000, memoryBytes: process.memoryUsage.rss() }
}

/** This very process. */
export const ownHand: Hand = { run: runBlock, used: usedHere, stop() {} }

/**
 * What a world makes is mostly garbage once its seed is done: with a nursery that holds more of it, a tenth less time goes
 * into copying what is still in use.
 */
const nursery = ['--max-semi-space-size=64', '--min-semi-space-size=64']

/** A process of its own. */
export class HiredHand implements Hand {
  readonly #child: ChildProcess
  #used: Used = { cpuMs: 0, memoryBytes: 0 }

  constructor() {
    this.#child = fork(fileURLToPath(new URL('hand.ts', import.meta.url)), {
      ...{ stdio: 'inherit', execArgv: nursery },
    })
  }

  /** @throws when it ends before it has answered */
  async run(block: Block): Promise<Sum> {
    const { from, count } = block
    const ended = new AbortController()
    const ends = once(this.#child, 'exit', { signal: ended.signal }).then(([code, signal]) => {
      throw new Error(`the process that ran seeds ${from} to ${from + count - 1} ended: ${signal ?? code}`)
    })
    try {
      this.#child.send(block)
      const [{ sum, used }] = (await Promise.race([once(this.#child, 'message'), ends])) as [Reply]
      this.#used = used
      return sum
    } finally {
      ends.catch(() => undefined)
      ended.abort()
    }
  }

  used(): Used {
    return this.#used
  }

  stop(): void {
    if (this.#child.connected) this.#child.disconnect()
  }
}
