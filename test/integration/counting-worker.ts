// A worker thread that counts requests as fast as it can, or stops in the middle of one. Started by
// counting-threads.test.ts.
import { parentPort, workerData } from 'node:worker_threads'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { LocalCounters } from '../../src/node/counters/local-counters.ts'
import type { Ask, Tally } from '../../src/plugins/plugin.ts'

export interface CountingTask {
  readonly buffer: SharedArrayBuffer
  readonly owner: number
  readonly ask: Ask
  readonly times: number
  /** At 0, whether to begin; at 1, the time in seconds that all threads see. */
  readonly shared: SharedArrayBuffer
  /** Never let go of the lock. */
  readonly hangs: boolean
}

const { buffer, owner, ask, times, shared, hangs } = workerData as CountingTask
const signals = new Int32Array(shared)
const clock: Clock = {
  ...systemClock,
  // Asked for while the lock is held.
  now() {
    if (hangs) {
      parentPort?.postMessage('holds')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    }
    return Atomics.load(signals, 1) * 1000
  },
}

const counters = new LocalCounters({ buffer, owner, clock, logger: silentLogger })
parentPort?.postMessage('ready')
Atomics.wait(signals, 0, 0)
const tallies: Tally[] = []
for (let i = 0; i < times; i++) tallies.push(await counters.take(ask))
parentPort?.postMessage(tallies)
