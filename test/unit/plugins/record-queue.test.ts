// The queue in front of a receiver, with a receiver that does what the test says and a clock that the test moves.
import { expect } from 'chai'
import type { LogFields } from '../../../src/base/logger.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { type Carrier, NotSent, RecordQueue } from '../../../src/plugins/record-queue.ts'
import { noWriter } from '../../../src/testing/data-plane.ts'
import { testCounters } from '../../support/counters.ts'
import { collect } from '../../support/gateway.ts'
import { ManualClock } from '../../support/manual-clock.ts'

interface ScriptedOptions {
  readonly lanes?: number
  readonly recordsAtOnce?: number
  readonly charsAtOnce?: number
  readonly charsKept?: number
}

/** Keeps what it is given until the test says how it went. */
class ScriptedCarrier implements Carrier {
  readonly receiver = 'collector:514'
  readonly lanes: number
  readonly recordsAtOnce: number
  readonly charsAtOnce: number
  readonly charsKept: number | undefined
  readonly carried: string[][] = []
  closed = 0
  readonly #open: PromiseWithResolvers<void>[] = []

  constructor({ lanes = 1, recordsAtOnce = 1, charsAtOnce = 64 * 1024, charsKept }: ScriptedOptions = {}) {
    this.lanes = lanes
    this.recordsAtOnce = recordsAtOnce
    this.charsAtOnce = charsAtOnce
    this.charsKept = charsKept
  }

  carry(records: readonly string[]): Promise<void> {
    this.carried.push([...records])
    const carriage = Promise.withResolvers<void>()
    if (this.closed > 0) carriage.reject(new NotSent(new Error('closed')))
    else this.#open.push(carriage)
    return carriage.promise
  }

  close(): void {
    this.closed++
    for (const { reject } of this.#open.splice(0)) reject(new Error('closed'))
  }

  get underWay(): number {
    return this.#open.length
  }

  /** Ends the oldest carriage: well, or with `error`. */
  async settle(error?: Error): Promise<void> {
    const oldest = this.#open.shift()
    if (error) oldest?.reject(error)
    else oldest?.resolve()
    await settled()
  }
}

/** Lets all that was resolved go on. */
async function settled(): Promise<void> {
  for (let i = 0; i < 10; i++) await undefined
}

describe('a queue of records', () => {
  let clock: ManualClock
  let lines: { sentence: string; fields: LogFields }[]
  let carrier: ScriptedCarrier
  let queue: RecordQueue

  beforeEach(() => start())

  function start(options: ScriptedOptions = {}): void {
    clock = new ManualClock()
    lines = []
    carrier = new ScriptedCarrier(options)
    queue = new RecordQueue(carrier, {
      ...{ clock, logger: collect(lines), random: systemRandom, counters: testCounters() },
      writer: noWriter,
    })
  }

  const append = (...records: string[]) => {
    for (const record of records) queue.append(record)
  }
  const away = new NotSent(new Error('refused'))
  const broken = new Error('broken')
  const dropped = () => lines.map(({ fields }) => fields.dropped).filter((count) => count !== undefined)
  /** The longest that a receiver is left alone. */
  const rest = () => clock.advance(5000)

  it('hands a record over at once, and the next when that has gone', async () => {
    append('a', 'b', 'c')
    expect(carrier.carried).deep.equal([['a']])
    await carrier.settle()
    expect(carrier.carried).deep.equal([['a'], ['b']])
    await carrier.settle()
    await carrier.settle()
    expect(carrier.carried).deep.equal([['a'], ['b'], ['c']])
    expect(lines).deep.equal([])
  })

  it('uses all lanes only while the receiver takes what it is sent', async () => {
    start({ lanes: 3 })
    append('a', 'b', 'c', 'd', 'e', 'f')
    expect(carrier.underWay).equal(1)
    await carrier.settle()
    expect(carrier.underWay).equal(3)
    await carrier.settle(broken)
    expect(carrier.underWay).equal(2)
    await carrier.settle(broken)
    await carrier.settle(broken)
    rest()
    expect(carrier.underWay).equal(1)
  })

  it('takes several records along where the carrier can, up to a size', async () => {
    start({ recordsAtOnce: 3 })
    const long = 'x'.repeat(40_000)
    append('a', 'b', 'c', 'd', 'e', long, long, long)
    for (let i = 0; i < 6; i++) await carrier.settle()
    expect(carrier.carried.map((records) => records.map(({ length }) => length))).deep.equal([
      ...[[1], [1, 1, 1], [1, 40_000], [40_000], [40_000]],
    ])
  })

  it('takes no more text along than the carrier says, each record with one to keep it apart', async () => {
    start({ recordsAtOnce: 100, charsAtOnce: 10 })
    queue.append('aaaa', 'bbbbb', 'cccc', 'ddddd', 'e', 'x'.repeat(11), 'f')
    for (let i = 0; i < 5; i++) await carrier.settle()
    expect(carrier.carried).deep.equal([
      ...[['aaaa', 'bbbbb'], ['cccc', 'ddddd'], ['e'], ['x'.repeat(11)], ['f']],
    ])
  })

  it('keeps no more than the carrier says', async () => {
    start({ charsKept: 5 })
    append('aa', 'bb', 'cc', 'd')
    for (let i = 0; i < 3; i++) await carrier.settle()
    expect(carrier.carried).deep.equal([['aa'], ['bb'], ['d']])
    expect(dropped()).deep.equal([1])
  })

  it('keeps what has not left, in its order, and tries again after a while that grows', async () => {
    start({ recordsAtOnce: 2 })
    append('a', 'b', 'c')
    const waits: number[] = []
    for (let i = 0; i < 12; i++) {
      const { length } = carrier.carried
      await carrier.settle(away)
      const from = clock.now()
      for (let ms = 0; ms < 10_000 && carrier.carried.length === length; ms++) clock.advance(1)
      waits.push(clock.now() - from)
    }
    expect(waits[0]).within(50, 100)
    expect(waits[3]).within(400, 800)
    for (const wait of waits.slice(6)) expect(wait).within(2500, 5000)
    await carrier.settle()
    await carrier.settle()
    expect(carrier.carried.slice(-2)).deep.equal([['a', 'b'], ['c']])
    expect(dropped()).deep.equal([])
  })

  it('says that records wait, once in ten seconds, and not any more when they have gone', async () => {
    append('a', 'b', 'c')
    for (let i = 0; i < 20; i++) {
      await carrier.settle(away)
      rest()
    }
    const said = lines.filter(({ sentence }) => /records wait/.test(sentence))
    expect(said[0]?.fields).deep.include({ receiver: 'collector:514', waiting: 3, error: away })
    expect(said.length).within(8, 11)
    for (let i = 0; i < 3; i++) await carrier.settle()
    const { length } = lines
    clock.advance(60_000)
    expect(lines.length).equal(length)
  })

  it('does not send again what may have arrived, but counts it', async () => {
    append('a', 'b')
    await carrier.settle(broken)
    expect(carrier.carried).deep.equal([['a']])
    rest()
    expect(carrier.carried).deep.equal([['a'], ['b']])
    expect(lines).deep.equal([
      {
        sentence: 'log records were dropped: their receiver does not take them',
        fields: { receiver: 'collector:514', dropped: 1, error: broken },
      },
      ...lines.slice(1),
    ])
  })

  it('has a bound, what is under way included; what comes on top is dropped, and said at a bounded rate', async () => {
    const mebibyte = 'x'.repeat(1024 * 1024)
    for (let i = 0; i < 16; i++) append(mebibyte)
    for (let i = 0; i < 100_000; i++) append('x')
    expect(dropped()).deep.equal([1])
    clock.advance(10_000)
    expect(dropped()).deep.equal([1, 99_999])
    await carrier.settle()
    append('x')
    expect(carrier.carried.length).equal(2)
    for (let i = 0; i < 16; i++) await carrier.settle()
    expect(carrier.carried.at(-1)).deep.equal(['x'])
    clock.advance(60_000)
    expect(dropped()).deep.equal([1, 99_999])
  })

  describe('when it is closed', () => {
    it('sends what is left, then closes the carrier', async () => {
      append('a', 'b')
      const closed = queue.close()
      await carrier.settle()
      expect(carrier.closed).equal(0)
      await carrier.settle()
      await closed
      expect(carrier.carried).deep.equal([['a'], ['b']])
      expect(carrier.closed).greaterThan(0)
    })

    it('tries a receiver that it left alone once more, and gives up with all that is left', async () => {
      append('a', 'b', 'c')
      await carrier.settle(away)
      const closed = queue.close()
      expect(carrier.carried).deep.equal([['a'], ['a']])
      await carrier.settle(away)
      await closed
      expect(dropped().at(-1)).equal(3)
    })

    it('waits five seconds for one that does not answer, and counts what it had', async () => {
      start({ lanes: 2 })
      append('a', 'b', 'c', 'd')
      await carrier.settle()
      const closed = queue.close()
      clock.advance(4999)
      await settled()
      expect(carrier.closed).equal(0)
      clock.advance(1)
      await closed
      expect((dropped() as number[]).reduce((sum, count) => sum + count, 0)).equal(3)
    })

    it('takes no more, and counts that', async () => {
      await queue.close()
      append('late')
      expect(carrier.carried).deep.equal([])
      expect(dropped()).deep.equal([1])
    })

    it('twice is the same as once', async () => {
      await Promise.all([queue.close(), queue.close()])
      await queue.close()
    })
  })
})
