// The receivers of a logging plugin in one worker: one for each place, however many configurations name it.
import type { JsonObject } from '../base/json.ts'
import type { Fields } from '../entities/define.ts'
import type { RecordQueue } from './record-queue.ts'

/** The fields that every plugin that sends records over connections has. */
export const connectionFields = {
  timeout: {
    type: 'number',
    default: 10_000,
    help: 'milliseconds that the receiver may take for one step',
  },
  keepalive: {
    type: 'number',
    default: 60_000,
    help: 'milliseconds for which an idle connection is kept',
  },
} as const satisfies Fields

export interface ConnectionTimes {
  readonly timeoutMs: number
  readonly keepaliveMs: number
}

/** What `connectionFields` say, within what a timer can hold: 24 days. */
export function connectionTimes({ timeout, keepalive }: JsonObject): ConnectionTimes {
  const bounded = (ms: unknown) => Math.min(Math.max(Number(ms), 0), 2 ** 31 - 1)
  return { timeoutMs: bounded(timeout), keepaliveMs: bounded(keepalive) }
}

/** One that nobody has sent anything to for so long is closed when there is a new one: configurations change. */
const forgottenAfterMs = 60_000

export class Receivers {
  readonly #queues = new Map<string, RecordQueue>()

  /** The queue to the receiver that `key` says in full; made when it is first asked for. */
  at(key: string, make: () => RecordQueue): RecordQueue {
    const known = this.#queues.get(key)
    if (known) return known
    this.#forgetIdle()
    const queue = make()
    this.#queues.set(key, queue)
    return queue
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#queues.values()].map((queue) => queue.close()))
  }

  #forgetIdle(): void {
    for (const [key, queue] of this.#queues) {
      if (queue.idleMs < forgottenAfterMs) continue
      this.#queues.delete(key)
      void queue.close()
    }
  }
}
