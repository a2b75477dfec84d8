import { expect } from 'chai'
import { questionOf } from '../request.ts'
import { scenario } from './scenario.ts'

describe('in a simulated cluster, a datastore that has lost its newest changes', () => {
  it('has the change of nobody that it has lost, whatever has come in its place', () =>
    scenario(3, ({ world, node, change, changePast, strike, run }) => {
      const { position } = node(3).applied
      // The writer hears late of what it has written.
      const slow = world.network.slow('10.0.0.200', '10.0.0.3', 150)
      const told = change(node(3))
      world.scheduler.runUntil(() => world.datastore.head.position > position, 500, 1)
      const end = strike('tail lost', 0)
      world.scheduler.runUntil(() => told.answer !== undefined, 300, 1)
      end()
      changePast(3)
      run(1500)
      slow()
      run(4000)
      expect(told.answer).to.include({ applied: 0, of: 3 })
    }))

  it('has the change of nobody that it has lost, not even of a writer that has jumped over its place', () =>
    scenario(3, ({ world, node, change, changePast, strike, run }) => {
      const { position } = node(3).applied
      // The writer hears of what it has written last of all; what it had applied before is not lost.
      const slow = world.network.slow('10.0.0.200', '10.0.0.3', 3000)
      const unheard = ['10.0.0.1', '10.0.0.2'].map((peer) => world.network.cut(peer, '10.0.0.3'))
      const told = change(node(3))
      world.scheduler.runUntil(() => world.datastore.head.position > position, 5000, 1)
      run(45)
      slow()
      for (const end of unheard) end()
      strike('tail lost', 0)()
      // More than is applied event by event.
      changePast(90)
      run(5000)
      expect(node(3).agent.followed.loads).to.deep.equal({ start: 1, 'too-big': 1 })
      expect(told.answer).to.include({ applied: 0, of: 3 })
    }))

  it('takes writes, though it has lost all but the oldest that it kept', () =>
    scenario(3, ({ node, change, changePast, strike, run }) => {
      changePast(3)
      run(1000)
      strike('log cut off', 0)()
      strike('tail lost', 0)()
      run(3000)
      const told = change(node(1))
      run(2000)
      expect(told.answer).to.include({ applied: 3, of: 3 })
    }))

  it('is not mixed with them, where a page of the log and a push of what is lost meet', () =>
    scenario(3, ({ world, node, change, changePast, run }) => {
      const { network, datastore, scheduler, oracle } = world
      const before = node(3).applied.position
      const held = network.cut('10.0.0.1', '10.0.0.3')
      const unheard = network.cut('10.0.0.200', '10.0.0.3')
      change(node(1), 1000)
      scheduler.runUntil(() => node(1).applied.position > before, 500, 1)
      datastore.loseTail(before)
      oracle.forgetWrites()
      changePast(1)
      changePast(1)
      // Somebody asks for what it has not got, so it reads the log; the page is on its way while the push comes.
      world.ask(node(3), 0, questionOf('/a0', undefined, before + 2))
      run(50)
      held()
      scheduler.runUntil(() => node(3).applied.position > before, 500, 1)
      unheard()
      run(2000)
      expect(node(3).applied).to.deep.equal({
        position: datastore.head.position,
        digest: datastore.head.digest,
      })
    }))

  it('does not leave two processes with one name and one life', () =>
    scenario(3, ({ world, node, strike, run }) => {
      const { network, datastore, scheduler } = world
      const host = '10.0.0.3'
      const before = datastore.head.position
      const { directory, process } = node(3)
      process.kill()
      world.start(host, directory)
      scheduler.runUntil(() => node(3)?.serves() === true, 2000, 1)
      const { name, life } = node(3)
      expect(life).to.equal(before + 1)
      // Its registration is lost, nobody reaches it, and a copy of it registers at the same position.
      const apart = (one: string, others: readonly string[]) =>
        others.flatMap((other) => [network.cut(one, other), network.cut(other, one)])
      const cuts = [
        ...apart(host, ['10.0.0.1', '10.0.0.2', '10.0.0.4']),
        ...apart('10.0.0.200', ['10.0.0.1', '10.0.0.2', host]),
      ]
      const calm = world.disturb()
      const end = strike('tail lost', 0)
      run(100)
      end()
      run(1000)
      expect(datastore.head.position).to.equal(before)
      world.start(world.newHost(), { name })
      scheduler.runUntil(() => node(4)?.serves() === true, 5000, 1)
      expect(datastore.nodes.get(name)?.life).to.equal(life)
      for (const end of cuts) end()
      calm()
      run(6000)
      const names = world.nodes.map((one) => one.name)
      expect(new Set(names).size).to.equal(4)
    }))

  it('is believed, whatever members still know of the changes that it has lost', async () => {
    // Whether a node meets one that knows of them, before it has found out itself, is a matter of milliseconds.
    for (const downMs of [450, 560]) {
      await scenario(
        3,
        ({ node, change, strike, run }) => {
          change(node(1))
          run(100)
          // It comes back as a join, on which the others prove what they hold.
          strike('force leave', 0.4, 0)
          run(1150)
          const end = strike('tail lost', 0.35)
          run(downMs)
          end()
          run(3000)
        },
        { heartbeatIntervalMs: 500, timing: { probeIntervalMs: 250 } },
      )
    }
  })
})
