// The counters of a node on real threads that share its memory.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { LocalCounters, localCountersBuffer, releaseLocks } from '../../src/node/counters/local-counters.ts'
import type { Ask, Tally } from '../../src/plugins/plugin.ts'
import { askFor } from '../support/counting-suite.ts'
import type { CountingTask } from './counting-worker.ts'

describe('local counters on several threads', function () {
  this.timeout(60_000)
  const buffer = localCountersBuffer(1000)
  const signals = new Int32Array(new SharedArrayBuffer(8))
  let threads: Worker[] = []

  function spawn(ask: Ask, times: number, more: Partial<CountingTask> = {}): Worker {
    const task: CountingTask = {
      ...{ buffer, owner: threads.length + 1, ask, times, shared: signals.buffer, hangs: false },
      ...more,
    }
    const thread = new Worker(new URL('./counting-worker.ts', import.meta.url), { workerData: task })
    threads.push(thread)
    return thread
  }

  /** All that `count` threads were told, once each has asked `times` times, all at the same time. */
  async function race(count: number, ask: Ask, times: number, meanwhile = async () => {}): Promise<Tally[]> {
    const racing = Array.from({ length: count }, () => spawn(ask, times))
    await Promise.all(racing.map((thread) => once(thread, 'message')))
    const told = Promise.all(racing.map((thread) => once(thread, 'message')))
    Atomics.store(signals, 0, 1)
    Atomics.notify(signals, 0)
    await meanwhile()
    return (await told).flatMap(([tallies]) => tallies as Tally[])
  }

  beforeEach(() => {
    threads = []
    signals.fill(0)
  })

  afterEach(() => Promise.all(threads.map((thread) => thread.terminate())))

  const placesOf = (tallies: readonly Tally[]) =>
    tallies.filter(({ counted }) => counted).sort((a, b) => a.used.year - b.used.year)

  it('of 1,000 requests on 4 threads exactly 100 pass, each in a place of its own', async () => {
    const tallies = await race(4, askFor({ minute: 100 }), 250)
    expect(tallies).length(1000)
    const places = placesOf(tallies).map(({ used }) => used.year)
    expect(places).deep.equal(Array.from({ length: 100 }, (_, i) => i + 1))
  })

  it('nothing is lost or counted twice while windows change', async () => {
    const ask = askFor({ second: 500 }, { identifier: 'windows' })
    const tallies = await race(4, ask, 10_000, async () => {
      for (let second = 1; second <= 10; second++) {
        await systemClock.sleep(10)
        Atomics.store(signals, 1, second)
      }
    })
    const passed = placesOf(tallies)
    expect(passed.length).greaterThan(500)
    for (const [i, { used }] of passed.entries()) {
      const before = passed[i - 1]?.used.second ?? 0
      expect(used.year).equal(i + 1)
      if (used.second !== 1)
        expect(used.second)
          .equal(before + 1)
          .and.at.most(500)
    }
  })

  it('a thread that hangs in the middle costs an error, and nothing once it has ended', async () => {
    const ask = askFor({ year: 5 }, { identifier: 'hanging' })
    const own = new LocalCounters({ buffer, owner: 9, clock: systemClock, logger: silentLogger })
    expect(own.take(ask)).nested.property('used.year', 1)
    const hanging = spawn(ask, 1, { hangs: true })
    await once(hanging, 'message')
    const holds = once(hanging, 'message')
    Atomics.store(signals, 0, 1)
    Atomics.notify(signals, 0)
    expect(await holds).deep.equal(['holds'])
    const refused = own.take(ask)
    expect(refused).instanceOf(Promise)
    expect(await (refused as Promise<never>).catch(({ code }) => code)).equal('counters-away')
    await hanging.terminate()
    releaseLocks(buffer, 1)
    expect(own.take(ask)).deep.include({ counted: true }).and.nested.property('used.year', 2)
  })
})
