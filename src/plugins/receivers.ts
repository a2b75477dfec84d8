// The receivers of a logging plugin in one worker: one for each place, however many configurations name it.
import type { Json, JsonObject } from '../base/json.ts'
import type { Field, Fields, FieldVerdict } from '../entities/define.ts'
import type { RecordQueue } from './record-queue.ts'

export const hostField = { type: 'string', help: 'name or address of the receiver' } as const satisfies Field

export const portField = {
  type: 'number',
  check: checkPort,
  help: 'of the receiver',
} as const satisfies Field

export const timeoutField = {
  type: 'number',
  default: 10_000,
  help: 'milliseconds that the receiver may take for one step',
} as const satisfies Field

/** The fields that every plugin that sends records over connections has. */
export const connectionFields = {
  timeout: timeoutField,
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

/** What `connectionFields` say. */
export function connectionTimes({ timeout, keepalive }: JsonObject): ConnectionTimes {
  return { timeoutMs: boundedMs(timeout), keepaliveMs: boundedMs(keepalive) }
}

/** Milliseconds within what a timer can hold: 24 days. */
export function boundedMs(ms: Json | undefined): number {
  return Math.min(Math.max(Number(ms), 0), 2 ** 31 - 1)
}

function checkPort(value: Json): FieldVerdict {
  const port = Number(value)
  if (Number.isInteger(port) && port > 0 && port < 65_536) return undefined
  return { error: `port must be a whole number from 1 to 65535, got ${port}` }
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
