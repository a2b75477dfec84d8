import { expect } from 'chai'
import { systemClock } from '../../../src/base/clock.ts'
import { codeOf } from '../../../src/base/errors.ts'
import { type Logger, silentLogger } from '../../../src/base/logger.ts'
import { LoadOvertaken } from '../../../src/catalog/errors.ts'
import { DatastoreAway } from '../../../src/database/errors.ts'
import { Follower } from '../../../src/event-log/follower.ts'
import { MemoryLog, parts, Recorder, until } from '../../support/log.ts'

describe('event-log/follower', () => {
  const followers: Follower[] = []

  function follow(log = new MemoryLog()) {
    const subscriber = new Recorder(log)
    const follower = new Follower({ ...parts, log, subscriber, logger: silentLogger })
    followers.push(follower)
    return { log, subscriber, follower }
  }

  async function following() {
    const all = follow()
    all.log.append('create')
    await all.follower.start()
    return all
  }

  afterEach(() => {
    for (const follower of followers.splice(0)) follower.stop()
  })

  it('loads first, and applies only what came after the load', async () => {
    const { log, subscriber, follower } = follow()
    log.append('create', 'create')
    subscriber.onLoad = () => {
      subscriber.onLoad = () => {}
      log.append('update')
    }
    await follower.start()
    log.append('delete')
    await follower.reach(4, 1000)
    expect(subscriber.loads).to.deep.equal(['start'])
    expect(subscriber.positions()).to.deep.equal([4])
    expect(follower.applied()).to.deep.equal(log.at(4))
  })

  describe('offered events by another node', () => {
    it('applies what follows, at once and verified', async () => {
      const { log, subscriber, follower } = await following()
      const head = log.append('update', 'update')
      expect(follower.offer(log.events.slice(2))).to.equal('applied')
      expect(follower.applied()).to.deep.equal(head)
      expect(subscriber.positions()).to.deep.equal([2, 3])
    })

    it('applies only what is new of them, and knows what it has', async () => {
      const { log, subscriber, follower } = await following()
      log.append('update')
      follower.offer(log.events.slice(2))
      log.append('update')
      expect(follower.offer(log.events.slice(2))).to.equal('applied')
      expect(follower.offer(log.events.slice(2))).to.equal('known')
      expect(subscriber.positions()).to.deep.equal([2, 3])
    })

    it('takes nothing after a gap', async () => {
      const { log, subscriber, follower } = await following()
      log.append('update')
      log.append('update')
      expect(follower.offer(log.events.slice(3))).to.equal('gap')
      expect(subscriber.positions()).to.deep.equal([])
    })

    it('loads anew when their digests are of another history', async () => {
      for (const ahead of [true, false]) {
        const { log, subscriber, follower } = await following()
        const mine = log.append('update')
        if (!ahead) await follower.reach(mine.position, 1000)
        const forged = { ...log.events[2], digest: 'f'.repeat(64) } as (typeof log.events)[number]
        expect(follower.offer([forged])).to.equal('other-history')
        await until(() => subscriber.loads.length === 2)
      }
    })

    it('applies nothing twice when a pull of the same was under way', async () => {
      const { log, subscriber, follower } = await following()
      const sent = Promise.withResolvers<void>()
      log.append('update')
      log.delay = () => sent.promise
      follower.nudge()
      await until(() => log.reads > 1)
      expect(follower.offer(log.events.slice(2))).to.equal('applied')
      log.delay = () => {}
      sent.resolve()
      await follower.reach(log.append('update').position, 1000)
      expect(subscriber.positions()).to.deep.equal([2, 3])
      expect(subscriber.loads).to.deep.equal(['start'])
    })

    it('loads anew when a pull that was under way brings another history than what was offered meanwhile', async () => {
      const { log, subscriber, follower } = await following()
      const lost = log.append('update')
      const pushed = log.events.slice(2)
      log.cut(2)
      const sent = Promise.withResolvers<void>()
      const head = log.append('delete', 'delete')
      log.delay = () => sent.promise
      follower.nudge()
      await until(() => log.reads > 1)
      expect(follower.offer(pushed)).to.equal('applied')
      expect(follower.applied()).to.deep.equal(lost)
      log.delay = () => {}
      sent.resolve()
      await until(() => follower.applied().digest === head.digest)
      expect(subscriber.loads).to.deep.equal(['start', 'other-history'])
      expect(subscriber.positions()).to.deep.equal([2])
    })

    it('loads anew at a reset among them', async () => {
      const { log, subscriber, follower } = await following()
      log.append('reset')
      expect(follower.offer(log.events.slice(2))).to.equal('gap')
      await until(() => subscriber.loads.length === 2)
    })
  })

  it('is at the head when start resolves, although events came during the load', async () => {
    const { log, follower, subscriber } = follow()
    subscriber.load = async () => {
      const stamp = log.at(0)
      log.append('create')
      return stamp
    }
    await follower.start()
    expect(follower.applied().position).to.equal(1)
    expect(subscriber.positions()).to.deep.equal([1])
  })

  it('hands over each transaction whole, in order and once, over many pages', async () => {
    const { log, subscriber, follower } = await following()
    log.pageTransactions = 2
    for (let i = 0; i < 9; i++) log.append(...Array(i + 1).fill('update'))
    const head = log.append('create')
    follower.nudge()
    await follower.reach(head.position, 1000)
    expect(subscriber.positions()).to.deep.equal(Array.from({ length: 46 }, (_, i) => i + 2))
    expect(subscriber.transactions.map((events) => events.length)).to.deep.equal([
      1, 2, 3, 4, 5, 6, 7, 8, 9, 1,
    ])
    expect(subscriber.loads).to.deep.equal(['start'])
  })

  it('folds nudges that come during a pull into one more pull', async () => {
    const { log, follower } = await following()
    const before = log.reads
    const gate = Promise.withResolvers<void>()
    log.delay = () => gate.promise
    const head = log.append('update')
    for (let i = 0; i < 50; i++) follower.nudge()
    gate.resolve()
    await follower.reach(head.position, 1000)
    await until(() => log.reads === before + 2)
    await systemClock.sleep(20)
    expect(log.reads).to.equal(before + 2)
  })

  it('does not read for a nudge at or below what it has applied', async () => {
    const { log, follower } = await following()
    const before = log.reads
    follower.nudge(1)
    await follower.reach(1, 1000)
    expect(log.reads).to.equal(before)
  })

  it('says that a position was not reached in time, naming both', async () => {
    const { follower } = await following()
    const error = await follower.reach(9, 10).catch((e) => e)
    expect(codeOf(error)).to.equal('not-reached')
    expect(error.message).to.equal('position 9 was not applied within 10 ms: this node is at position 1')
  })

  it('loads anew when a body is not what its digest says', async () => {
    const { log, subscriber, follower } = await following()
    const forged = log.append('update')
    log.events[2] = { ...(log.events[2] as (typeof log.events)[0]), body: '{"operation":"delete"}' }
    follower.nudge()
    await follower.reach(forged.position, 1000)
    expect(subscriber.loads).to.deep.equal(['start', 'other-history'])
    expect(subscriber.positions()).to.deep.equal([])
  })

  it('loads anew when a page has a hole', async () => {
    const { log, subscriber, follower } = await following()
    log.append('update')
    log.append('update')
    const { read } = log
    log.read = async (applied) => {
      const page = await read.call(log, applied)
      return page.kind === 'events' ? { ...page, events: page.events.slice(1) } : page
    }
    follower.nudge()
    await follower.reach(3, 1000)
    expect(subscriber.loads).to.deep.equal(['start', 'other-history'])
    expect(subscriber.positions()).to.deep.equal([])
  })

  it('loads anew on a reset event, after what came before it, and goes on after it', async () => {
    const { log, subscriber, follower } = await following()
    log.append('update')
    log.append('reset')
    log.append('create')
    follower.nudge()
    await follower.reach(4, 1000)
    log.append('delete')
    follower.nudge()
    await follower.reach(5, 1000)
    expect(subscriber.loads).to.deep.equal(['start', 'reset'])
    expect(subscriber.positions()).to.deep.equal([2, 5])
  })

  it('takes no word of a row for a reset', async () => {
    const { log, subscriber, follower } = await following()
    log.append(JSON.stringify({ operation: 'update', new: { name: 'reset', operation: 'reset' } }))
    follower.nudge()
    await follower.reach(2, 1000)
    expect(subscriber.loads).to.deep.equal(['start'])
  })

  for (const reason of ['pruned', 'too-big'] as const) {
    it(`loads anew when the log cannot give what comes next: ${reason}`, async () => {
      const { log, subscriber, follower } = await following()
      log.append('update')
      const { read } = log
      log.read = async () => {
        log.read = read
        return { kind: 'jump', reason }
      }
      follower.nudge()
      await follower.reach(2, 1000)
      expect(subscriber.loads).to.deep.equal(['start', reason])
      expect(follower.counts().loads).to.deep.equal({ start: 1, [reason]: 1 })
    })
  }

  it('keeps what is applied unchanged until the load is done: it never jumps first', async () => {
    const { log, subscriber, follower } = await following()
    const before = follower.applied()
    const gate = Promise.withResolvers<void>()
    subscriber.onLoad = () => gate.promise
    log.append('update')
    follower.reset('test')
    await until(() => subscriber.loads.length === 2)
    expect(follower.applied()).to.equal(before)
    gate.resolve()
    await until(() => follower.applied().position === 2)
    expect(subscriber.positions()).to.deep.equal([])
  })

  it('loads once more when a reset is asked for during a load', async () => {
    const { subscriber, follower } = await following()
    subscriber.onLoad = () => {
      subscriber.onLoad = () => {}
      follower.reset('second')
    }
    follower.reset('first')
    await until(() => subscriber.loads.length === 3)
    expect(subscriber.loads).to.deep.equal(['start', 'first', 'second'])
  })

  it('tries a failed load again until it works', async () => {
    const { log, subscriber, follower } = follow()
    let failures = 3
    subscriber.onLoad = () => {
      if (failures-- > 0) throw new DatastoreAway(new Error('refused'))
    }
    await follower.start()
    expect(subscriber.loads).to.deep.equal(['start', 'start', 'start', 'start'])
    expect(follower.applied()).to.deep.equal(log.at(0))
  })

  it('calls a load that another one has overtaken no error, and any other that fails', async () => {
    const log = new MemoryLog()
    const subscriber = new Recorder(log)
    const errors: unknown[] = []
    const error: Logger['error'] = (_sentence, fields) => void errors.push(fields?.error)
    const logger: Logger = { ...silentLogger, scope: () => logger, error }
    const follower = new Follower({ ...parts, log, subscriber, logger })
    followers.push(follower)
    const broken = new Error('broken')
    const failures = [new LoadOvertaken(), broken]
    subscriber.onLoad = () => {
      const failure = failures.shift()
      if (failure) throw failure
    }
    await follower.start()
    expect(errors).to.deep.equal([broken])
  })

  it('tries a failed pull again until it works, and at once on a sign of life', async () => {
    const { log, follower } = await following()
    let down = true
    log.delay = () => {
      if (down) throw new DatastoreAway(new Error('refused'))
    }
    const head = log.append('update')
    follower.nudge()
    await until(() => log.reads > 4)
    down = false
    follower.observe(follower.applied(), head)
    await follower.reach(2, 1000)
    expect(follower.applied()).to.deep.equal(head)
  })

  it('loads anew when applying throws, since half of it may be cached', async () => {
    const { log, subscriber, follower } = await following()
    const { apply } = subscriber
    subscriber.apply = () => {
      subscriber.apply = apply
      throw new Error('a bug')
    }
    log.append('update')
    follower.nudge()
    await follower.reach(2, 1000)
    expect(subscriber.loads).to.deep.equal(['start', 'apply-failed'])
  })

  it('applies nothing after stop, not even what was being read', async () => {
    const { log, subscriber, follower } = await following()
    const gate = Promise.withResolvers<void>()
    log.delay = () => gate.promise
    log.append('update')
    follower.nudge()
    follower.stop()
    gate.resolve()
    await gate.promise
    await new Promise((resolve) => setImmediate(resolve))
    expect(subscriber.positions()).to.deep.equal([])
  })

  describe('judging a head that the primary answered', () => {
    it('pulls what is ahead', async () => {
      const { log, follower, subscriber } = await following()
      follower.observe(follower.applied(), log.append('update'))
      await until(() => follower.applied().position === 2)
      expect(subscriber.loads).to.deep.equal(['start'])
    })

    it('takes a lower head, sent after reaching applied, for another history', async () => {
      const { log, follower, subscriber } = await following()
      log.cut(1)
      follower.observe(follower.applied(), log.at(0))
      await until(() => follower.applied().position === 0)
      expect(subscriber.loads).to.deep.equal(['start', 'other-history'])
    })

    it('takes the same position with another digest for another history', async () => {
      const { log, follower, subscriber } = await following()
      log.cut(1)
      follower.observe(follower.applied(), log.append('delete'))
      await until(() => subscriber.loads.length === 2)
      await until(() => follower.applied().digest === log.at(1).digest)
    })

    it('holds what it has applied, and nothing of a history that was lost, whatever is at its position now', async () => {
      const { log, follower, subscriber } = await following()
      const lost = log.append('update')
      await follower.reach(2, 1000)
      expect(follower.holds(lost)).to.equal(true)
      expect(follower.holds({ position: 3, digest: lost.digest })).to.equal(false)
      log.cut(2)
      const other = log.append('delete')
      const loaded = log.append('create')
      follower.observe(follower.applied(), other)
      await until(() => follower.applied().position === 3)
      expect(subscriber.loads).to.deep.equal(['start', 'other-history'])
      const held = await Promise.all([lost, other, loaded].map((stamp) => follower.holds(stamp)))
      expect(held).to.deep.equal([false, true, true])
      const next = log.append('update')
      await follower.reach(4, 1000)
      expect(follower.holds(next)).to.equal(true)
    })

    it('asks the log for what it has jumped over, which it may have lost before', async () => {
      const { log, follower, subscriber } = await following()
      const applied = follower.applied()
      // Nobody told this node of it before it was lost, with nothing else.
      const lost = log.append('update')
      log.cut(lost.position)
      const other = log.append('delete')
      log.append('create')
      follower.reset('too-big')
      await until(() => follower.applied().position === 3)
      expect(subscriber.loads).to.deep.equal(['start', 'too-big'])
      const held = await Promise.all([applied, lost, other].map((stamp) => follower.holds(stamp)))
      expect(held).to.deep.equal([true, false, true])
    })

    it('holds nothing of what it has jumped over while the log can not be asked', async () => {
      const { log, follower } = await following()
      const jumped = log.append('update')
      log.append('update')
      follower.reset('too-big')
      await until(() => follower.applied().position === 3)
      log.delay = () => {
        throw new Error('away')
      }
      expect(await follower.holds(jumped)).to.equal(false)
    })

    it('ignores a lower head that was only late', async () => {
      const { log, follower, subscriber } = await following()
      const sentAt = follower.applied()
      const answered = log.at(1)
      log.append('update')
      follower.nudge()
      await follower.reach(2, 1000)
      follower.observe(sentAt, answered)
      await follower.reach(2, 1000)
      expect(subscriber.loads).to.deep.equal(['start'])
    })

    it('ignores an answer to a read that was sent in a history since left', async () => {
      const { log, follower, subscriber } = await following()
      log.append('update')
      follower.nudge()
      await follower.reach(2, 1000)
      const sentAt = follower.applied()
      log.cut(1)
      follower.reset('other-history')
      await until(() => follower.applied().position === 0)
      follower.observe(sentAt, log.at(0))
      expect(subscriber.loads).to.deep.equal(['start', 'other-history'])
    })

    it('expects nothing of a head that was read in a history since left, though that was further', async () => {
      const { log, follower, subscriber } = await following()
      const sentAt = follower.applied()
      log.append('update')
      log.append('update')
      const answered = log.append('update')
      log.cut(1)
      log.append('delete')
      follower.reset('other-history')
      await until(() => subscriber.loads.length === 2 && follower.applied().digest === log.at(1).digest)
      follower.observe(sentAt, answered)
      for (const body of ['create', 'create', 'create']) log.append(body)
      await follower.reach(4, 1000)
      expect(subscriber.loads).to.deep.equal(['start', 'other-history'])
    })

    it('compares the digest of a head ahead when it gets there', async () => {
      const { log, follower, subscriber } = await following()
      const gate = Promise.withResolvers<void>()
      const seen = log.append('update')
      log.delay = () => gate.promise
      follower.observe(follower.applied(), seen)
      await until(() => log.reads > 1)
      // The answer on its way, and all that follow, are of a log that went another way at the same position.
      log.cut(2)
      log.append('delete')
      follower.nudge()
      log.delay = () => {}
      const { read } = log
      log.read = async (applied) => {
        log.read = read
        return read.call(log, applied)
      }
      gate.resolve()
      await until(() => follower.applied().digest === log.at(2).digest)
      expect(subscriber.loads).to.deep.equal(['start', 'other-history'])
    })
  })

  it('loads anew when the log ends before a head that it had: nobody waits for what is lost', async () => {
    const { log, subscriber, follower } = await following()
    const lost = log.append('update')
    log.delay = () => Promise.reject(new Error('away'))
    follower.observe(follower.applied(), lost)
    await until(() => log.reads > 1)
    log.cut(2)
    log.delay = () => {}
    follower.nudge()
    await until(() => subscriber.loads.length === 2)
    expect(subscriber.loads).to.deep.equal(['start', 'other-history'])
    expect(follower.applied().position).to.equal(1)
  })

  it('goes on when the log ends before a head that was seen after it was asked, and when another node’s does', async () => {
    const { log, subscriber, follower } = await following()
    const gate = Promise.withResolvers<void>()
    log.delay = () => gate.promise
    const reads = log.reads
    follower.nudge()
    await until(() => log.reads > reads)
    const { read } = log
    log.read = async () => ({ kind: 'events', events: [], more: false, path: 'peer' })
    const seen = log.append('update')
    follower.observe(follower.applied(), seen)
    gate.resolve()
    await until(() => follower.counts().pulls >= 3)
    log.read = read
    log.delay = () => {}
    await follower.reach(2, 1000)
    expect(subscriber.loads).to.deep.equal(['start'])
  })

  it('waits for the load when a position is asked for that only the history before had', async () => {
    const { log, subscriber, follower } = await following()
    log.append('update')
    follower.nudge()
    await follower.reach(2, 1000)
    log.cut(1)
    const gate = Promise.withResolvers<void>()
    subscriber.onLoad = () => gate.promise
    follower.reset('other-history')
    const error = await follower.reach(1, 20).catch((e) => e)
    expect(codeOf(error)).to.equal('not-reached')
    log.append('create')
    gate.resolve()
    await follower.reach(1, 1000)
  })
})
