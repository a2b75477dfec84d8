import { expect } from 'chai'
import { silentLogger } from '../../../src/base/logger.ts'
import { DatastoreAway } from '../../../src/database/errors.ts'
import { Prune, type Retention } from '../../../src/event-log/prune.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const retention: Retention = { keepDays: 90, keepEvents: 1000 }

describe('event-log/prune', () => {
  let prune: Prune
  afterEach(() => prune.stop())

  /**
   * A loop over a log that has `due` events to remove, in steps that take `stepMs`.
   * @param fraction  chance, the same each time
   */
  const make = ({ due = 0, stepMs = 1, fraction = 0.5 } = {}) => {
    const clock = new ManualClock()
    const world = {
      due,
      steps: [] as { atMs: number; retention: Retention }[],
      failure: undefined as unknown,
    }
    const log = {
      async prune(asked: Retention, eventsMax: number) {
        world.steps.push({ atMs: clock.monotonic(), retention: asked })
        if (world.failure) throw world.failure
        const removed = Math.min(world.due, eventsMax)
        if (removed > 0) clock.advance(stepMs)
        world.due -= removed
        return removed
      },
    }
    const random = { uuid: () => '', hex: () => '', fraction: () => fraction }
    prune = new Prune({ log, clock, random, logger: silentLogger }, retention)
    /** Lets time pass, a little at a time, so that what waits for a step's end sees its own time. */
    const pass = async (ms: number) => {
      for (const endMs = clock.monotonic() + ms; clock.monotonic() < endMs; ) {
        clock.advance(50)
        await settle()
      }
    }
    return { clock, world, pass }
  }

  it('looks once a minute on average, and not when it starts', async () => {
    for (const [fraction, firstMs] of [
      [0, 30_000],
      [0.5, 60_000],
      [0.999, 89_940],
    ] as const) {
      const { world, pass } = make({ fraction })
      prune.start()
      await pass(firstMs - 50)
      expect(world.steps, `${fraction}`).to.have.length(0)
      await pass(firstMs + 100)
      expect(world.steps, `${fraction}`).to.have.length(2)
    }
  })

  it('takes step after step until nothing is due, with a rest after each', async () => {
    const { world, pass } = make({ due: 12_000 })
    prune.start()
    await pass(61_000)
    const times = world.steps.map(({ atMs }) => atMs)
    expect(times).to.have.length(4)
    for (const [i, atMs] of times.slice(1).entries())
      expect(atMs - (times[i] as number)).to.be.within(100, 200)
    expect(prune.counts()).to.deep.equal({ events: 12_000 })
    await pass(61_000)
    expect(world.steps).to.have.length(5)
  })

  it('rests longer where steps take long: a tenth of the time is work at the most', async () => {
    const { world, pass } = make({ due: 10_000, stepMs: 400 })
    prune.start()
    await pass(70_000)
    const times = world.steps.map(({ atMs }) => atMs)
    expect((times[1] as number) - (times[0] as number)).to.be.within(4000, 4100)
  })

  it('tries again a minute after a failure, and counts what it had removed', async () => {
    const { world, pass } = make({ due: 20_000 })
    prune.start()
    await pass(60_100)
    world.failure = new DatastoreAway(new Error('reset'))
    await pass(10_000)
    const { events } = prune.counts()
    expect(events)
      .to.equal(20_000 - world.due)
      .and.to.be.within(5000, 15_000)
    world.failure = undefined
    await pass(61_000)
    expect(prune.counts()).to.deep.equal({ events: 20_000 })
  })

  it('applies another retention at once', async () => {
    const { world, pass } = make()
    prune.start()
    await pass(1000)
    prune.keep({ keepDays: 1, keepEvents: 2000 })
    await settle()
    expect(world.steps).to.deep.equal([{ atMs: 1000, retention: { keepDays: 1, keepEvents: 2000 } }])
    await pass(59_000)
    expect(world.steps).to.have.length(1)
  })

  it('rests between steps also when it is told of another retention meanwhile', async () => {
    const { world, pass } = make({ due: 15_000 })
    prune.start()
    await pass(60_050)
    expect(world.steps).to.have.length(1)
    prune.keep({ keepDays: 1, keepEvents: 2000 })
    await settle()
    expect(world.steps).to.have.length(1)
    await pass(1000)
    expect(world.steps[1]?.retention.keepDays).to.equal(1)
  })

  it('begins no step once it is stopped, in the middle of a round or between two', async () => {
    for (const [due, passedMs, steps] of [
      [20_000, 60_050, 1],
      [0, 1000, 0],
    ] as const) {
      const { world, pass } = make({ due })
      prune.start()
      await pass(passedMs)
      prune.stop()
      await pass(200_000)
      expect(world.steps).to.have.length(steps)
    }
  })
})

/** Lets everything happen that waits for nothing but promises. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve))
