// What every form of the datastore does alike, as agents use it: the one in Postgres, and the simulated one, which is
// worth no more than what it has in common with it.
import { expect } from 'chai'
import { codeOf } from '../../src/base/errors.ts'
import type { Row } from '../../src/base/json.ts'
import type { Stamp } from '../../src/base/stamp.ts'
import type { NodeIdentity } from '../../src/cluster/membership/registry.ts'
import { consumer } from '../../src/entities/consumer.ts'
import { continues } from '../../src/event-log/digest.ts'
import { type LogEvent, parseChange, transactionsOf } from '../../src/event-log/event.ts'
import type { AgentDatastore } from '../../src/node/agent-datastore.ts'
import { keyauthCredential as credential } from '../../src/plugins/key-auth/credential.ts'
import { readAll } from '../../src/store/store.ts'

export interface DatastoreWorld {
  /** A process's way to it. */
  client(): AgentDatastore
  /** By hand: the node's last heartbeat is so long ago, and its forced leave if there was one. */
  age(name: string, byMs: number): Promise<void>
  /** By hand: the events before `position` are taken away. */
  cutOff(position: number): Promise<void>
  /** Every connection that listens is broken by the server. */
  breakListening(): Promise<void>
  /** Waits for what comes about by itself, letting time pass. */
  outcome<T>(promise: Promise<T>): Promise<T>
  until(isTrue: () => boolean, claim: string): Promise<void>
  stop(): Promise<void>
}

const [byKey] = credential.lookups
const identity = (name: string, differently: Partial<NodeIdentity> = {}): NodeIdentity => ({
  ...{ name, address: '10.0.0.1:7946', version: '1', ttlSeconds: 60, refusesAfterMs: null },
  ...differently,
})

export function datastoreSuite(form: string, makeWorld: () => Promise<DatastoreWorld>): void {
  describe(`the ${form} datastore`, () => {
    let world: DatastoreWorld
    let one: AgentDatastore
    let other: AgentDatastore
    /** What its migrations have left. Positions are told from here on. */
    let start: Stamp
    const since = (position: number) => position - start.position
    beforeEach(async () => {
      world = await makeWorld()
      one = world.client()
      other = world.client()
      start = await done(one.log.head())
    })
    afterEach(() => world.stop())

    const done = <T>(promise: Promise<T>): Promise<T> => world.outcome(promise)
    const thrown = async (promise: Promise<unknown>): Promise<unknown> =>
      done(promise.then(() => expect.fail('nothing was thrown'), codeOf))
    const named = (username: string, by = one) => done(by.store.insert(consumer, { username }, 'suite'))
    const written = async (): Promise<LogEvent[]> => {
      const events: LogEvent[] = []
      let applied = start
      for (let more = true; more; ) {
        const page = await done(one.log.read(applied))
        if (page.kind !== 'events') throw new Error(page.kind)
        events.push(...page.events)
        applied = page.events.at(-1) ?? applied
        more = page.more
      }
      return events
    }
    it('gives writes positions without a hole, in the order in which they become visible, on a chain of digests', async () => {
      const writes = Array.from({ length: 12 }, (_, i) => (i % 2 ? one : other).store)
      const answers = await done(
        Promise.all(writes.map((store, i) => store.insert(consumer, { username: `u${i}` }, null))),
      )
      const events = await written()
      expect(continues(start, events)).to.equal(true)
      expect(answers.map(({ stamp }) => stamp.position).sort((a, b) => a - b)).to.deep.equal(
        events.map(({ position }) => position),
      )
      for (const { row, stamp } of answers) {
        const event = events.find(({ position }) => position === stamp.position) as LogEvent
        expect(stamp.digest).to.equal(event.digest)
        expect(parseChange(event)).to.deep.include({
          entity: 'consumers',
          operation: 'create',
          old: null,
          new: row,
        })
      }
    })

    it('keeps a row and all that goes with it in one transaction', async () => {
      const { row } = await named('owner')
      for (const key of ['a', 'b']) {
        await done(one.store.insert(credential, { consumer_id: row.id as string, key }, null))
      }
      const removed = await done(
        one.store.remove(consumer, { id: row.id as string }, () => undefined, 'somebody'),
      )
      const last = transactionsOf(await written()).at(-1) as LogEvent[]
      expect(last.map(parseChange).map(({ entity, operation }) => `${operation} ${entity}`)).to.have.members([
        'delete consumers',
        'delete keyauth_credentials',
        'delete keyauth_credentials',
      ])
      expect(last.map(parseChange).map(({ actor }) => actor)).to.deep.equal([
        'somebody',
        'somebody',
        'somebody',
      ])
      expect(removed?.stamp).to.deep.equal({ position: last.at(-1)?.position, digest: last.at(-1)?.digest })
    })

    it('stamps what it reads with the head of the same moment, also where there is nothing', async () => {
      const { row, stamp } = await named('owner')
      const given = { consumer_id: row.id as string, key: 'k' }
      const { row: made, stamp: later } = await done(one.store.insert(credential, given, null))
      const found = await done(other.store.find(credential, byKey, ['k'], 'primary'))
      expect(found).to.deep.equal({ value: [made], stamp: later })
      const absent = await done(other.store.find(credential, byKey, ['none'], 'primary'))
      expect(absent).to.deep.equal({ value: [], stamp: later })
      expect(await done(readAll(other.store, consumer))).to.deep.equal({ value: [row], stamp: later })
      const many = await done(other.store.findMany(credential, byKey, [['k'], ['none']]))
      expect(many).to.deep.equal({ value: [made], stamp: later })
      expect(later.position).to.equal(stamp.position + 1)
    })

    it('lets one writer at a time decide what a row becomes', async () => {
      const { row } = await named('0')
      const add = (store: AgentDatastore['store']) =>
        store.update(
          consumer,
          { id: row.id as string },
          (now) => ({ username: `${Number(now.username) + 1}` }),
          null,
        )
      await done(Promise.all([one, other, one, other].map(({ store }) => add(store))))
      expect((await done(one.store.read(consumer, { id: row.id as string })))?.username).to.equal('4')
    })

    it('exchanges a row for another in one transaction, for one of those who ask at once', async () => {
      const { row } = await named('owner')
      const given = { consumer_id: row.id as string, key: 'old' }
      const { row: old } = await done(one.store.insert(credential, given, null))
      const exchange = (by: AgentDatastore, key: string) =>
        by.store.exchange(
          credential,
          { key: 'old' },
          credential,
          ({ consumer_id }) => ({ consumer_id: consumer_id as string, key }),
          'somebody',
        )
      const got = await done(Promise.all([one, other, one, other].map((by, i) => exchange(by, `new-${i}`))))
      const [made, ...others] = got.filter((written) => written !== null)
      expect(others).to.deep.equal([])
      expect(made).to.deep.include({ operation: 'create' })
      expect(made?.row).to.include({ consumer_id: row.id })
      expect(made?.row.id).to.not.equal(old.id)
      expect((await done(readAll(other.store, credential))).value).to.deep.equal([made?.row])
      const last = transactionsOf(await written()).at(-1) as LogEvent[]
      expect(last.map(parseChange).map(({ operation, actor }) => `${operation} by ${actor}`)).to.deep.equal([
        'delete by somebody',
        'create by somebody',
      ])
      expect(made?.stamp.position).to.equal(last.at(-1)?.position)
    })

    it('exchanges nothing when what would be made is refused', async () => {
      const { row } = await named('owner')
      await done(one.store.insert(credential, { consumer_id: row.id as string, key: 'old' }, null))
      const nobody = { consumer_id: '00000000-0000-4000-8000-000000000000', key: 'new' }
      const exchange = one.store.exchange(credential, { key: 'old' }, credential, () => nobody, null)
      expect(await thrown(exchange)).to.equal('does-not-exist')
      expect((await done(readAll(other.store, credential))).value.map(({ key }) => key)).to.deep.equal([
        'old',
      ])
    })

    it('refuses what its constraints forbid, and makes no event of it', async () => {
      await named('taken')
      expect(await thrown(one.store.insert(consumer, { username: 'taken' }, null))).to.equal('already-exists')
      const nobody = { consumer_id: '00000000-0000-4000-8000-000000000000', key: 'k' }
      expect(await thrown(one.store.insert(credential, nobody, null))).to.equal('does-not-exist')
      const refuse = (): Row => {
        throw Object.assign(new Error('no'), { code: 'changed-my-mind' })
      }
      expect(await thrown(one.store.update(consumer, { username: 'taken' }, refuse, null))).to.equal(
        'changed-my-mind',
      )
      expect(await done(one.store.update(consumer, { username: 'none' }, refuse, null))).to.equal(null)
      expect(await written()).to.have.length(1)
    })

    it('tells other histories, and positions that it does not hold any more, from what is next', async () => {
      await named('a')
      await named('b')
      const head = (await named('c')).stamp
      const read = async (position: number, digest: string) => {
        const page = await done(one.log.read({ position, digest }))
        return page.kind === 'events' ? page.events.map((event) => since(event.position)) : page.kind
      }
      expect(await read(head.position, head.digest)).to.deep.equal([])
      expect(await read(start.position, start.digest)).to.deep.equal([1, 2, 3])
      expect(await read(start.position, 'f'.repeat(64))).to.equal('other-history')
      expect(await read(head.position + 1, head.digest)).to.equal('other-history')
      await world.cutOff(head.position)
      expect(await read(start.position, start.digest)).to.equal('jump')
      expect(await read(head.position, head.digest)).to.deep.equal([])
    })

    it('says of two places whether both are in the log, which has neither lost nor pruned them', async () => {
      const a = (await named('a')).stamp
      const b = (await named('b')).stamp
      const hasBoth = (...stamps: [Stamp, Stamp]) => done(other.log.hasBoth(...stamps))
      expect(await hasBoth(start, b)).to.equal(true)
      expect(await hasBoth(b, a)).to.equal(true)
      expect(await hasBoth({ ...a, digest: b.digest }, b)).to.equal(false)
      expect(await hasBoth(a, { ...b, position: b.position + 1 })).to.equal(false)
      await world.cutOff(b.position)
      expect(await hasBoth(a, b)).to.equal(false)
    })

    it('notifies whoever listens once for each transaction, when it can be read', async () => {
      const heard: number[] = []
      const seen: Promise<number>[] = []
      const subscription = other.subscribe((payload) => {
        heard.push(since(Number(payload)))
        seen.push(other.log.head().then(({ position }) => position))
      })
      await done(subscription.listening)
      const { row } = await named('owner')
      await done(one.store.insert(credential, { consumer_id: row.id as string, key: 'k' }, null))
      await done(one.store.remove(consumer, { id: row.id as string }, () => undefined, null))
      await world.until(() => heard.length === 3, 'it hears of all')
      expect(heard).to.deep.equal([1, 2, 3])
      const positions = await done(Promise.all(seen))
      for (const [i, position] of positions.entries()) expect(since(position)).to.be.at.least(i + 1)
      await done(subscription.close())
    })

    it('tells a listener that its connection broke, and nothing of what it missed', async () => {
      const heard: unknown[] = []
      const first = other.subscribe((payload) => heard.push(payload))
      await done(first.listening)
      const ended = first.ended.then(
        () => 'resolved',
        () => 'broken',
      )
      await world.breakListening()
      expect(await done(ended)).to.equal('broken')
      await named('missed')
      const again = other.subscribe((payload) => heard.push(since(Number(payload))))
      await done(again.listening)
      await named('heard')
      await world.until(() => heard.length > 0, 'it hears of the second')
      expect(heard).to.deep.equal([2])
      await done(Promise.all([first.close(), again.close()]))
    })

    it('begins a life with each registration, at its position, for whoever knows what stood there', async () => {
      const life = (await done(one.registry.register(identity('a'), undefined))) as number
      expect(since(life)).to.equal(1)
      expect(await done(other.registry.register(identity('a'), undefined))).to.equal(undefined)
      expect(await done(other.registry.register(identity('a'), life + 7))).to.equal(undefined)
      expect((await done(one.log.head())).position).to.equal(life)
      expect(await done(other.registry.register(identity('a'), life))).to.equal(life + 1)
      expect(await done(one.registry.find('a'))).to.deep.include({
        name: 'a',
        life: life + 1,
        status: 'alive',
        expired: false,
      })
      // The image of a registration says that it is one: no life yet.
      const images = (await written()).map(parseChange).map((change) => [change.operation, change.new?.life])
      expect(images).to.deep.equal([
        ['create', null],
        ['update', null],
      ])
    })

    it('tells a heartbeat what became of the row, with the head, and makes no event of it', async () => {
      const life = (await done(one.registry.register(identity('a'), undefined))) as number
      const beat = async (whose: number) => (await done(one.registry.beat('a', whose, 1))).holding
      const head = await done(one.log.head())
      expect(await done(one.registry.beat('a', life, 1))).to.deep.include({ holding: 'held', head })
      expect(await beat(life + 8)).to.equal('taken')
      expect((await done(one.registry.find('a')))?.applied).to.equal(1)
      expect(await done(one.log.head())).to.deep.equal(head)
      expect(await done(other.registry.forceLeave('a'))).to.equal(true)
      expect(await beat(life)).to.equal('forced-out')
      expect(await done(other.registry.forceLeave('none'))).to.equal(false)
      await world.age('a', 70_000)
      await done(other.registry.removeExpired(['a']))
      expect(await beat(life)).to.equal('gone')
      expect(await done(one.registry.restore(identity('a'), life))).to.equal(true)
      expect(await beat(life)).to.equal('held')
      expect(await done(other.registry.restore(identity('a'), life))).to.equal(false)
    })

    it('reads who must acknowledge a write with its commit: who is registered, or was forced out and may serve still', async () => {
      const recipients = async (username: string) => {
        const { nodes } = await named(username)
        return nodes
          .map(
            ({ name, life, lapsesMs }) => `${name} ${since(life)} ${lapsesMs === null ? 'stays' : 'lapses'}`,
          )
          .sort()
      }
      expect(await recipients('0')).to.deep.equal([])
      for (const name of ['a', 'b', 'c']) {
        await done(
          one.registry.register(identity(name, { refusesAfterMs: name === 'b' ? 5000 : null }), undefined),
        )
      }
      expect(await recipients('1')).to.deep.equal(['a 2 stays', 'b 3 stays', 'c 4 stays'])
      for (const name of ['a', 'b']) await done(one.registry.forceLeave(name))
      expect(await recipients('2')).to.deep.equal(['b 3 lapses', 'c 4 stays'])
      await world.age('b', 6000)
      await done(other.registry.leave('c', start.position + 4, 'leaving'))
      expect(await recipients('3')).to.deep.equal(['c 4 stays'])
      await done(other.registry.leave('c', start.position + 4, 'left'))
      expect(await recipients('4')).to.deep.equal([])
    })

    it('says of rows that must acknowledge whether they are expired, and removes those alone', async () => {
      for (const name of ['a', 'b']) await done(one.registry.register(identity(name), undefined))
      await world.age('a', 61_000)
      const rows = await done(one.registry.rows())
      expect(rows.map(({ name, expired }) => [name, expired])).to.deep.equal([
        ['b', false],
        ['a', true],
      ])
      const { nodes } = await named('x')
      expect(nodes.map(({ name, expired }) => `${name} ${expired}`).sort()).to.deep.equal([
        'a true',
        'b false',
      ])
      await done(other.registry.removeExpired(['a', 'b']))
      expect((await done(one.registry.rows())).map(({ name }) => name)).to.deep.equal(['b'])
    })

    it('records the return of a member once in an interval, and of none whose life is over', async () => {
      const life = (await done(one.registry.register(identity('a'), undefined))) as number
      await done(one.registry.rejoin('a', life, 60_000))
      await done(other.registry.rejoin('a', life, 60_000))
      await done(other.registry.rejoin('a', life + 8, 0))
      const changes = (await written()).map(parseChange)
      expect(changes).to.have.length(2)
      expect(changes[1]).to.have.nested.include({
        operation: 'update',
        'old.life': life,
        'new.life': life,
        'new.status': 'alive',
      })
    })
  })
}
