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
