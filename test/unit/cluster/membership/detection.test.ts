// How soon the dead are found out, and that the living are not, over many seeds on simulated time.
import { expect } from 'chai'
import type { MemberEvent } from '../../../../src/cluster/membership/members.ts'
import { profiles } from '../../../../src/cluster/membership/profile.ts'
import { cluster, forSeeds, quantile, type World } from './world.ts'

describe('failure detection', function () {
  this.timeout(180_000)

  for (const [size, seeds] of [
    [3, 40],
    [10, 20],
    [30, 7],
  ] as const) {
    it(`calls a killed one of ${size} failed everywhere within 100 ms, p99`, () => {
      const delays: number[] = []
      forSeeds(seeds, (seed) => {
        const world = cluster(size, { seed })
        delays.push(...failureDelays(world, 'n1', () => world.kill('n1'), 3000))
      })
      expect(quantile(delays, 0.99)).to.be.below(100)
    })

    it(`calls a hung one of ${size} failed everywhere within 2.5 s, p99, and nobody else`, () => {
      const delays: number[] = []
      forSeeds(seeds, (seed) => {
        const world = cluster(size, { seed })
        delays.push(...failureDelays(world, 'n1', () => world.pause('n1', 10_000), 9000))
        expect(world.seen.filter(({ event }) => event.kind === 'failed')).to.have.length(size - 1)
        world.run(1000)
        world.settle(5000)
      })
      expect(quantile(delays, 0.99)).to.be.below(2500)
    })
  }

  it('tells a hundred of a killed one within 100 ms and of a hung one within 3.5 s', () => {
    const world = cluster(100, { seed: 1 })
    expect(
      quantile(
        failureDelays(world, 'n1', () => world.kill('n1'), 3000),
        0.99,
      ),
    ).to.be.below(100)
    const delays = failureDelays(world, 'n2', () => world.pause('n2', 10_000), 9000)
    expect(Math.max(...delays)).to.be.below(3500)
  })

  it('decides by the suspicion’s timeout when there is no witness', () => {
    forSeeds(20, (seed) => {
      const world = cluster(2, { seed })
      const [delay] = failureDelays(world, 'n1', () => world.kill('n1'), 5000)
      expect(delay).to.be.within(profiles.lan.suspicionMs, profiles.lan.suspicionMs + 200)
    })
  })

  it('finds half of a cluster dead that dies at once', () => {
    forSeeds(15, (seed) => {
      const world = cluster(12, { seed })
      for (const name of ['n1', 'n3', 'n5', 'n7', 'n9', 'n11']) world.kill(name)
      expect(world.settle(10_000)).to.be.below(4000)
    })
  })

  it('finds the dead although all but one are: the last one does not blame itself for ever', () => {
    forSeeds(15, (seed) => {
      const world = cluster(5, { seed })
      for (const name of ['n1', 'n2', 'n3', 'n4']) world.pause(name, 60_000)
      world.runUntil(
        () => world.shown('n0').filter((line) => line.endsWith(' failed')).length === 4,
        30_000,
        () => world.shown('n0').join(),
      )
    })
  })

  it('calls nobody failed where nothing is wrong but slow messages', () => {
    forSeeds(20, (seed) => {
      const world = cluster(10, { seed, latencyMs: [1, 20] })
      world.run(60_000)
      expect(failures(world)).to.deep.equal([])
    })
  })

  it('calls nobody failed while one in twenty messages is lost and some come twice', () => {
    forSeeds(20, (seed) => {
      const world = cluster(10, { seed, loss: 0.05, repeats: 0.05 })
      world.run(60_000)
      expect(failures(world)).to.deep.equal([])
      expect(world.disagreement()).to.satisfy((text?: string) => !text?.includes('not alive'))
    })
  })

  it('forgives pauses of a second, of one node after the other and of several at once', () => {
    forSeeds(8, (seed) => {
      const world = cluster(10, { seed })
      for (let i = 0; i < 20; i++) {
        world.at(1500 * i, () => world.pause(`n${i % 10}`, 1000))
        if (i % 3 === 0) world.at(1500 * i + 300, () => world.pause(`n${(i + 4) % 10}`, 900))
      }
      world.run(40_000)
      expect(failures(world)).to.deep.equal([])
    })
  })

  it('accuses nobody after a pause of its own, however long', () => {
    forSeeds(30, (seed) => {
      const world = cluster(10, { seed })
      world.run(1000)
      world.pause('n3', 20_000)
      world.run(20_000)
      const accusedBefore = world.members('n3').counts.accusations
      world.run(5000)
      expect(world.members('n3').counts.accusations).to.equal(accusedBefore)
      expect(failures(world).filter(({ by }) => by === 'n3')).to.deep.equal([])
      world.settle()
    })
  })

  it('takes a suspicion back as soon as the accused answers', () => {
    forSeeds(20, (seed) => {
      const world = cluster(5, { seed })
      world.pause('n2', 900)
      world.run(3000)
      expect(world.members('n0').get('n2')?.incarnation).to.equal(world.members('n2').get('n2')?.incarnation)
      expect(world.disagreement()).to.equal(undefined)
    })
  })

  it('gets round a link that fails between two only', () => {
    forSeeds(20, (seed) => {
      const world = cluster(5, { seed })
      world.part(['n1'], ['n2'])
      world.run(30_000)
      expect(failures(world)).to.deep.equal([])
    })
  })

  it('costs four messages an interval when nothing happens, whatever the size', () => {
    for (const size of [3, 30]) {
      const world = cluster(size, { seed: 7 })
      world.run(5000)
      const before = { messages: world.messages, bytes: world.bytes }
      world.run(10_000)
      const perSecond = (world.messages - before.messages) / size / 10
      expect(perSecond).to.be.within(7, 9)
      expect((world.bytes - before.bytes) / (world.messages - before.messages)).to.be.below(120)
    }
  })

  it('notices a hang within 15 s in profile wan, and forgives 6 s there', () => {
    forSeeds(10, (seed) => {
      const world = cluster(10, { seed, profile: profiles.wan, latencyMs: [20, 150] })
      world.pause('n4', 6000)
      world.run(15_000)
      expect(failures(world)).to.deep.equal([])
      const delays = failureDelays(world, 'n1', () => world.pause('n1', 60_000), 30_000)
      expect(Math.max(...delays)).to.be.below(15_000)
    })
  })
})

/** How long after `act` each of the others called `name` failed. */
function failureDelays(world: World, name: string, act: () => void, withinMs: number): number[] {
  const others = world.upNames.length - 1
  world.seen.length = 0
  const from = world.now
  act()
  world.run(withinMs)
  const delays = failures(world)
    .filter(({ event }) => event.member.name === name)
    .map(({ at }) => at - from)
  expect(delays, 'each of the others once').to.have.length(others)
  return delays
}

function failures(world: World) {
  type Failed = Extract<MemberEvent, { kind: 'failed' }>
  return world.seen.flatMap(({ at, by, event }) =>
    event.kind === 'failed' ? [{ at, by, event: event satisfies Failed }] : [],
  )
}
