// A stream of events against a log that moves on, loses its past or becomes another one, at the worst of moments.
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { Writable } from 'node:stream'
import { expect } from 'chai'
import { EventStream, type StreamOptions } from '../../../src/admin/event-stream.ts'
import type { LoggedEvent, LogPage, LogRequest, LogView, LogWatcher } from '../../../src/admin/log-view.ts'
import { TroopError } from '../../../src/base/errors.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import type { Stamp } from '../../../src/base/stamp.ts'
import { until } from '../../support/log.ts'
import { ManualClock } from '../../support/manual-clock.ts'

/** More than any of these tests has reason for. */
const readsMax = 1000

/** A log of events that differ by history, applied by this node up to where the test says. */
class ScriptedLog implements LogView {
  history = 'a'
  head = 0
  firstKept = 0
  appliedTo = 0
  reads = 0
  readonly watchers = new Set<LogWatcher>()
  /** Runs while a page is on its way, after what is in it was decided. */
  meanwhile: () => void | Promise<void> = () => {}

  async read({ after, size }: LogRequest): Promise<LogPage> {
    if (this.reads++ > readsMax) throw new Error('asked without end')
    const from = Math.max(after + 1, this.firstKept)
    const count = Math.max(0, Math.min(size, this.head - from + 1))
    const events = Array.from({ length: count }, (_, i) => this.event(from + i))
    const page = {
      events,
      until: events.at(-1)?.position ?? after,
      head: this.stamp(this.head),
      firstKept: this.firstKept,
      digest: after >= this.firstKept && after <= this.head ? this.stamp(after).digest : null,
    }
    const run = this.meanwhile
    this.meanwhile = () => {}
    await run()
    return page
  }

  applied(): Stamp {
    return this.stamp(this.appliedTo)
  }

  watch(watcher: LogWatcher): { end(): void } {
    this.watchers.add(watcher)
    return { end: () => this.watchers.delete(watcher) }
  }

  event(position: number): LoggedEvent {
    const entity = position % 2 === 0 ? 'apis' : 'consumers'
    return { ...this.stamp(position), first: position, at: 0, entity, operation: 'create', schema: 1 }
  }

  stamp(position: number): Stamp {
    return { position, digest: `${this.history}${position}` }
  }

  /** Commits `count` events and applies them as one transaction. */
  append(count = 1): void {
    this.head += count
    this.apply()
  }

  apply(): void {
    const events = Array.from({ length: this.head - this.appliedTo }, (_, i) =>
      this.event(this.appliedTo + 1 + i),
    )
    this.appliedTo = this.head
    for (const watcher of this.watchers) watcher.apply(events)
  }

  /** Becomes another log. */
  replace(history: string, head: number): void {
    this.history = history
    this.head = head
  }

  /** This node loads anew. */
  jump(): void {
    this.appliedTo = this.head
    for (const watcher of this.watchers) watcher.lapse()
  }
}

describe('a stream of events', () => {
  let log: ScriptedLog
  let clock: ManualClock
  let sink: Sink
  let warnings: string[]
  let stream: EventStream
  let ended: number

  beforeEach(() => {
    log = new ScriptedLog()
    log.append(10)
    clock = new ManualClock()
    sink = new Sink()
    warnings = []
    ended = 0
  })

  const start = (options: Partial<StreamOptions> = {}) => {
    stream = new EventStream(
      {
        response: sink as unknown as ServerResponse,
        client: '10.0.0.1',
        since: undefined,
        filter: {},
        show: ({ position, digest }) => ({ position, digest }),
        log,
        ...options,
      },
      {
        clock,
        logger: {
          ...silentLogger,
          warn: (sentence) => void warnings.push(sentence),
          error: (sentence) => void warnings.push(sentence),
        },
        onEnd: () => void ended++,
        heartbeatMs: 15_000,
        stallMs: 30_000,
      },
    )
    stream.start()
  }
  const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
  const told = (count: number) => until(() => sink.told().length >= count)
  /** What is to happen by itself has happened. */
  const settled = () => new Promise((resolve) => setImmediate(resolve))

  it('begins with what is applied next when nothing else is said, and says from where', async () => {
    start()
    expect(sink.text).to.equal('id: 10\n\n')
    log.append(2)
    await settled()
    expect(sink.told()).to.deep.equal([11, 12])
    expect(log.reads).to.equal(0)
  })

  it('begins after a position, and goes on with what is applied', async () => {
    start({ since: 4 })
    await told(6)
    log.append()
    expect(sink.told()).to.deep.equal(range(5, 11))
  })

  it('misses nothing and repeats nothing of what is applied while it reads', async () => {
    for (const applied of [1, 5, 150]) {
      sink = new Sink()
      const from = log.head
      start({ since: from - 10 })
      log.meanwhile = () => log.append(applied)
      await told(10 + applied)
      log.append()
      await settled()
      expect(sink.told()).to.deep.equal(range(from - 9, from + applied + 1))
      stream.stop()
    }
  })

  it('misses nothing that is applied last, at whatever moment of the last read', async () => {
    for (let steps = 0; steps < 40; steps++) {
      sink = new Sink()
      const from = log.head
      start({ since: from - 3 })
      log.meanwhile = () => {
        let moment = Promise.resolve()
        for (let i = 0; i < steps; i++) moment = moment.then(() => {})
        void moment.then(() => log.append())
      }
      await settled()
      expect(sink.told(), `after ${steps} steps`).to.deep.equal(range(from - 2, from + 1))
      stream.stop()
    }
  })

  it('tells of a change once this node has applied it, not before', async () => {
    log.head = 12
    start({ since: 8 })
    await told(2)
    await settled()
    expect(sink.told()).to.deep.equal([9, 10])
    log.apply()
    expect(sink.told()).to.deep.equal(range(9, 12))
  })

  it('reads what it was not told, such as a transaction that is too big', async () => {
    start()
    log.head += 250
    log.jump()
    await told(250)
    expect(sink.told()).to.deep.equal(range(11, 260))
    expect(log.reads).to.be.greaterThan(2)
    expect(sink.text).not.to.include('event: reset')
  })

  it('tells that the past was pruned, and goes on with what is left', async () => {
    log.firstKept = 7
    start({ since: 3 })
    await told(4)
    expect(sink.events()).to.deep.include({ name: 'reset', data: { position: 6, reason: 'pruned' } })
    expect(sink.told()).to.deep.equal([7, 8, 9, 10])
  })

  it('tells of nothing where only what it was told is pruned', async () => {
    log.firstKept = 7
    start({ since: 6 })
    await told(4)
    expect(sink.text).not.to.include('event: reset')
  })

  it('tells that the log is another one, by the digest of where it was', async () => {
    start({ since: 5 })
    await told(5)
    log.replace('b', 12)
    log.jump()
    await until(() => sink.text.includes('event: reset'))
    expect(sink.events().at(-1)).to.deep.equal({
      name: 'reset',
      data: { position: 12, reason: 'other-history' },
    })
    log.append()
    await settled()
    expect(sink.events().at(-1)).to.deep.equal({ name: 'change', data: { position: 13, digest: 'b13' } })
  })

  it('tells that the log is another one, also when it had nothing to tell before', async () => {
    start({ since: 10 })
    await settled()
    log.replace('b', 10)
    log.jump()
    await until(() => sink.text.includes('event: reset'))
    expect(sink.told()).to.deep.equal([])
  })

  it('tells that the log is another one when it ends before where the client was', async () => {
    start({ since: 99 })
    await until(() => sink.text.includes('event: reset'))
    expect(sink.events()).to.deep.equal([{ name: 'reset', data: { position: 10, reason: 'other-history' } }])
  })

  it('does not ask a log again and again that ends before what this node has applied', async () => {
    start({ since: 5 })
    await told(5)
    log.replace('b', 8)
    stream.lapse()
    await until(() => sink.text.includes('event: reset'))
    await settled()
    expect(log.reads).to.be.lessThan(5)
    log.jump()
    log.append()
    await until(() => sink.told().at(-1) === 9)
  })

  it('does not pass on another history as its own when the log changed while it read', async () => {
    start({ since: 5 })
    log.meanwhile = () => {
      log.replace('b', 7)
      log.jump()
    }
    await until(() => sink.text.includes('event: reset'))
    log.append(4)
    await until(() => sink.told().at(-1) === 11)
    const last = sink.events().slice(-5)
    expect(last[0]).to.deep.equal({ name: 'reset', data: { position: 7, reason: 'other-history' } })
    expect(last.slice(1).map(({ data }) => data.digest)).to.deep.equal(['b8', 'b9', 'b10', 'b11'])
  })

  it('tells what its filter lets through, and from where to go on in its heartbeats', () => {
    start({ filter: { entity: 'apis', operation: 'create' } })
    log.append(3)
    expect(sink.told()).to.deep.equal([12])
    clock.advance(15_000)
    expect(sink.text).to.match(/\n\n: heartbeat\nid: 13\n\n$/)
    clock.advance(15_000)
    expect(sink.text.match(/: heartbeat/g)).to.have.length(2)
  })

  it('waits for the datastore while it is away, and shows that it lives', async () => {
    log.meanwhile = () => Promise.reject(new TroopError('datastore-away', 'away'))
    start({ since: 5 })
    await settled()
    clock.advance(15_000)
    expect(sink.text).to.include(': heartbeat')
    await told(5)
    expect(warnings).to.deep.equal([])
  })

  it('ends when the log can’t be read for another reason, or an event can’t be shown', async () => {
    log.meanwhile = () => Promise.reject(new TroopError('datastore-error', 'no'))
    start({ since: 5 })
    await once(sink, 'finish')
    sink = new Sink()
    const show = () => {
      throw new TypeError('never to reach the follower')
    }
    start({ show })
    log.append()
    await once(sink, 'finish')
    expect(warnings).to.deep.equal(['a stream of events failed', 'a stream of events failed'])
    expect(ended).to.equal(2)
    expect(log.watchers.size).to.equal(0)
  })

  it('holds one page for a client that is slow, and goes on when it has read', async () => {
    start()
    sink.cork()
    for (let i = 0; i < 1000; i++) log.append()
    await settled()
    const held = sink.writableLength
    expect(held).to.be.lessThan(2000)
    sink.uncork()
    await told(1000)
    expect(sink.told()).to.deep.equal(range(11, 1010))
    expect(warnings).to.deep.equal([])
  })

  it('cuts a client that does not read, also when nothing more happens', async () => {
    for (const more of [1, 0]) {
      sink = new Sink()
      warnings = []
      start()
      sink.cork()
      while (!sink.writableNeedDrain) log.append()
      if (more) log.append()
      else clock.advance(15_000)
      await settled()
      clock.advance(29_999)
      expect(sink.destroyed).to.equal(false)
      clock.advance(1)
      expect(sink.destroyed).to.equal(true)
      expect(warnings).to.deep.equal(['a stream of events was cut: its client does not read'])
      expect(log.watchers.size).to.equal(0)
    }
  })

  it('ends when it is told to, also when its client does not read', async () => {
    start()
    stream.stop()
    await once(sink, 'finish')
    sink = new Sink()
    start()
    sink.cork()
    while (!sink.writableNeedDrain) log.append()
    stream.stop()
    expect(sink.destroyed).to.equal(true)
    expect(ended).to.equal(2)
    expect(log.watchers.size).to.equal(0)
  })

  it('does not begin for a client that has gone', async () => {
    sink.destroy()
    await once(sink, 'close')
    start()
    expect(ended).to.equal(1)
    expect(log.watchers.size).to.equal(0)
  })

  it('is over when its client has gone', async () => {
    start()
    sink.destroy()
    await once(sink, 'close')
    expect(ended).to.equal(1)
    expect(log.watchers.size).to.equal(0)
    log.append()
    clock.advance(60_000)
    stream.stop()
    expect(ended).to.equal(1)
  })
})

/** As much of a response as a stream uses; corked, it is a connection that takes nothing. */
class Sink extends Writable {
  text = ''

  constructor() {
    super({ highWaterMark: 1000 })
  }

  writeHead(): void {}

  override _write(chunk: Buffer, _: string, done: () => void): void {
    this.text += chunk
    done()
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    for (const { chunk } of chunks) this.text += chunk
    done()
  }

  events(): { name: string; data: { position: number; digest?: string } }[] {
    const pattern = /event: (\w+)\ndata: (.*)\n\n/g
    return [...this.text.matchAll(pattern)].map(([, name = '', data = '']) => ({
      name,
      data: JSON.parse(data),
    }))
  }

  /** Positions of the changes. */
  told(): number[] {
    return this.events()
      .filter(({ name }) => name === 'change')
      .map(({ data }) => data.position)
  }
}
