// C5: after faults heal, all views agree, nobody who kept answering is failed for good, and the dead are, everywhere.
import { expect } from 'chai'
import { cluster, forSeeds, World } from './world.ts'

describe('agreement of members', function () {
  this.timeout(180_000)

  it('is reached by fifty that join at once, by way of one', () => {
    forSeeds(5, (seed) => {
      const world = new World({ seed })
      world.start('seed')
      world.run(100)
      for (let i = 0; i < 50; i++) world.at(i % 5, () => world.start(`n${i}`, ['seed']))
      world.run(10)
      expect(world.settle(5000)).to.be.below(3000)
      expect(world.seen.filter(({ event }) => event.kind === 'failed')).to.deep.equal([])
    })
  })

  it('is reached by five that start at once, each of which sees the rows of some', () => {
    forSeeds(50, (seed) => {
      const world = new World({ seed, datastore: true })
      for (let i = 0; i < 5; i++) world.start(`n${i}`)
      expect(world.settle(5000)).to.be.below(2000)
    })
  })

  it('is reached by two clusters of one datastore, which did not know each other', () => {
    forSeeds(20, (seed) => {
      const world = new World({ seed, datastore: true })
      world.start('a', [])
      world.start('b', ['a'])
      world.start('c', [])
      world.start('d', ['c'])
      world.settle(5000)
    })
  })

  it('is reached after a partition of any length, with nobody failed for good', () => {
    forSeeds(30, (seed) => {
      const world = cluster(9, { seed })
      world.part(['n0', 'n1', 'n2', 'n3'])
      world.run(1000 + 30_000 * world.random.fraction())
      world.heal()
      world.settle(30_000)
      world.run(20_000)
      expect(world.disagreement()).to.equal(undefined)
    })
  })

  it('shows the other side of a long partition as failed, and as back once it healed', () => {
    forSeeds(20, (seed) => {
      const world = cluster(6, { seed })
      world.part(['n0', 'n1'])
      world.run(40_000)
      expect(world.shown('n0').filter((line) => line.endsWith(' alive'))).to.deep.equal([
        'n0 alive',
        'n1 alive',
      ])
      expect(world.shown('n5').filter((line) => line.endsWith(' failed'))).to.deep.equal([
        'n0 failed',
        'n1 failed',
      ])
      world.seen.length = 0
      world.heal()
      world.settle(20_000)
      const told = world.seen.filter(({ by }) => by === 'n5').map(({ event }) => event.kind)
      // It may learn as well what the others thought of it meanwhile.
      expect(told.filter((kind) => kind !== 'returned')).to.deep.equal(['back', 'back'])
    })
  })

  it('is reached whatever happened: loss, repeats, pauses, kills, restarts and partitions', () => {
    forSeeds(60, (seed) => {
      const size = 3 + (seed % 10)
      const world = cluster(size, { seed, repeats: 0.05, datastore: seed % 2 === 0 })
      world.loss = 0.2 * world.random.fraction()
      for (let i = 0; i < 12; i++) {
        disturb(world)
        world.run(3000 * world.random.fraction())
      }
      world.loss = 0
      world.heal()
      world.run(10_000)
      world.settle(40_000)
      world.run(10_000)
      expect(world.disagreement(), 'and it stays').to.equal(undefined)
    })
  })

  it('is reached although a fifth of all messages is lost all the time', () => {
    forSeeds(20, (seed) => {
      const world = cluster(8, { seed })
      world.loss = 0.2
      world.kill('n3')
      world.runUntil(
        () => world.upNames.every((by) => world.members(by).get('n3')?.status === 'failed'),
        10_000,
        () => 'n3 is not failed everywhere',
      )
    })
  })

  it('holds through a restart: the newer life replaces the older one everywhere', () => {
    forSeeds(30, (seed) => {
      const world = cluster(5, { seed })
      world.kill('n2')
      world.run(3000 * world.random.fraction())
      world.start('n2')
      world.settle(10_000)
      const lives = world.upNames.map((by) => world.members(by).get('n2')?.life)
      expect(new Set(lives).size).to.equal(1)
      expect(lives[0]).to.equal(6)
    })
  })

  it('holds about who leaves: leaving, then left, and never failed', () => {
    forSeeds(30, (seed) => {
      const world = cluster(6, { seed })
      world.leave('n3')
      world.run(20)
      for (const by of ['n0', 'n1', 'n5']) expect(world.members(by).get('n3')?.status).to.equal('leaving')
      world.run(5000)
      for (const by of world.upNames) expect(world.members(by).get('n3')?.status, by).to.equal('left')
      expect(world.seen.some(({ event }) => event.kind === 'failed')).to.equal(false)
    })
  })

  it('holds about a node that is killed while it leaves: it left', () => {
    forSeeds(20, (seed) => {
      const world = cluster(4, { seed })
      world.call('n3', (members, now) => members.leave(now))
      world.run(100)
      world.kill('n3')
      world.run(3000)
      for (const by of world.upNames) expect(world.members(by).get('n3')?.status, by).to.equal('left')
    })
  })

  it('holds about a dead one that was forced out: left everywhere, and not dialled any more', () => {
    forSeeds(20, (seed) => {
      const world = cluster(5, { seed })
      world.kill('n1')
      world.run(2000)
      world.forceLeave('n1', 'n4')
      world.run(2000)
      for (const by of world.upNames) expect(world.members(by).get('n1')?.status, by).to.equal('left')
    })
  })

  it('holds about a live one that was forced out: it is fenced, and back in a new life', () => {
    forSeeds(30, (seed) => {
      const world = cluster(5, { seed, datastore: seed % 2 === 0 })
      world.forceLeave('n1', 'n4')
      world.run(100)
      world.settle(10_000)
      const fenced = world.seen.filter(({ event }) => event.kind === 'fenced')
      expect(fenced.map(({ by }) => by)).to.deep.equal(['n1'])
      expect(world.members('n0').get('n1')?.life).to.equal(6)
    })
  })

  it('holds about one that was forced out while it could not be reached', () => {
    forSeeds(20, (seed) => {
      const world = cluster(5, { seed })
      world.part(['n1'])
      world.run(8000)
      world.forceLeave('n1', 'n4')
      world.run(3000)
      world.heal()
      world.settle(30_000)
      expect(world.seen.filter(({ event }) => event.kind === 'fenced').map(({ by }) => by)).to.deep.equal([
        'n1',
      ])
    })
  })

  it('holds after the log has lost its tail, and with it the registrations of some', () => {
    forSeeds(60, (seed) => {
      const world = cluster(6, { seed, datastore: true })
      world.loseTail(2)
      world.run(1000)
      world.settle(10_000)
      const registrations = world.seen.filter(({ event }) => event.kind === 'fenced')
      expect(registrations.length, 'that were needless').to.be.at.most(2 * 6)
    })
  })

  it('holds about a failed one whose row is gone: left', () => {
    forSeeds(10, (seed) => {
      const world = cluster(4, { seed, datastore: true })
      world.kill('n1')
      world.run(3000)
      world.expire('n1')
      world.run(3000)
      for (const by of world.upNames) expect(world.members(by).get('n1')?.status, by).to.equal('left')
    })
  })
})

/** One fault of chance. */
function disturb(world: World): void {
  const any = (names: readonly string[]) =>
    names[Math.floor(world.random.fraction() * names.length)] as string
  const up = world.upNames
  const down = world.names.filter((name) => !up.includes(name))
  const chance = world.random.fraction()
  if (chance < 0.3) world.pause(any(up), 5000 * world.random.fraction())
  else if (chance < 0.45 && up.length > 2) world.kill(any(up))
  else if (chance < 0.6 && down.length > 0) world.start(any(down))
  else if (chance < 0.75) world.part(up.filter(() => world.random.fraction() < 0.5))
  else if (chance < 0.9) world.heal()
  else if (up.length > 2) world.forceLeave(any(up), any(up))
}
