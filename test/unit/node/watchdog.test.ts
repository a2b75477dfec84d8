import { expect } from 'chai'
import { type Sight, type StoodStill, Watchdog } from '../../../src/node/watchdog.ts'
import { ManualClock } from '../../support/manual-clock.ts'

/** A thread whose loop turns ten times a second, or stands still; the system tells what it did meanwhile. */
class Thread {
  loops = true
  /** What becomes of its time while it stands still. */
  doing: 'runs' | 'queues' | 'sleeps' = 'sleeps'
  tells = true
  #beats = 0
  #times = { ranMs: 0, queuedMs: 0 }

  pass(ms: number): void {
    if (this.loops) this.#beats += ms / 100
    else if (this.doing === 'runs') this.#times = { ...this.#times, ranMs: this.#times.ranMs + ms }
    else if (this.doing === 'queues') this.#times = { ...this.#times, queuedMs: this.#times.queuedMs + ms }
  }

  sight(): Sight {
    return { beats: this.#beats, times: this.tells ? this.#times : undefined }
  }
}

describe('the watchdog of the workers', () => {
  let clock: ManualClock
  let thread: Thread
  let watchdog: Watchdog<Thread>
  let stuck: StoodStill[]

  beforeEach(() => {
    clock = new ManualClock()
    thread = new Thread()
    stuck = []
    watchdog = new Watchdog({
      clock,
      limitMs: 5000,
      threads: () => [thread],
      onStuck: (_, stood) => stuck.push(stood),
    })
    watchdog.start()
    pass(1000)
  })

  function pass(ms: number): void {
    for (let passed = 0; passed < ms; passed += 100) {
      thread.pass(100)
      clock.advance(100)
    }
  }

  it('tells of a thread in an endless loop, once, after the limit and not before', () => {
    Object.assign(thread, { loops: false, doing: 'runs' })
    pass(4900)
    expect(stuck).to.deep.equal([])
    pass(600)
    expect(stuck.map(({ ran }) => ran)).to.deep.equal([true])
    expect(stuck[0]?.ms).to.be.within(5000, 5500)
    pass(20_000)
    expect(stuck).to.have.length(1)
  })

  it('tells of one that waits in a call, and that it does not run', () => {
    Object.assign(thread, { loops: false, doing: 'sleeps' })
    pass(5600)
    expect(stuck.map(({ ran }) => ran)).to.deep.equal([false])
  })

  it('does without what the system tells', () => {
    Object.assign(thread, { loops: false, tells: false })
    pass(5600)
    expect(stuck.map(({ ran }) => ran)).to.deep.equal([undefined])
  })

  it('does not blame a thread for which there is no processor', () => {
    Object.assign(thread, { loops: false, doing: 'queues' })
    pass(60_000)
    expect(stuck).to.deep.equal([])
    thread.doing = 'runs'
    pass(5600)
    expect(stuck).to.have.length(1)
  })

  it('does not blame anybody for the time in which the process was stopped, or the agent held up', () => {
    thread.loops = false
    pass(3000)
    // Its timer is late by an hour: all threads stood still, as far as can be told.
    clock.hold(3_600_000)
    pass(500)
    expect(stuck).to.deep.equal([])
    thread.loops = true
    pass(10_000)
    expect(stuck).to.deep.equal([])
  })

  it('begins anew when the thread has moved, and tells of it again', () => {
    thread.loops = false
    pass(4000)
    thread.loops = true
    pass(1000)
    thread.loops = false
    pass(4000)
    expect(stuck).to.deep.equal([])
    pass(2000)
    expect(stuck).to.have.length(1)
    thread.loops = true
    pass(1000)
    thread.loops = false
    pass(6000)
    expect(stuck).to.have.length(2)
  })

  it('takes another limit while it runs, and none', () => {
    thread.loops = false
    watchdog.limit(0)
    pass(60_000)
    expect(stuck).to.deep.equal([])
    watchdog.limit(1000)
    pass(1500)
    expect(stuck).to.have.length(1)
    watchdog.stop()
  })
})
