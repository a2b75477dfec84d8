import { expect } from 'chai'
import { type Scenario, scenario } from './scenario.ts'

describe('in a simulated cluster, the answer to a write', () => {
  it('counts those who have it, even where the writer has loaded everything anew since', () =>
    scenario(3, (parts) => jumpWhileAnswering(parts)))

  it('counts those who have it after such a load even where another history was loaded not long before', () =>
    scenario(3, (parts) => {
      const { node, change, strike, run } = parts
      change(node(1))
      run(1000)
      strike('tail lost', 0)()
      run(4000)
      jumpWhileAnswering(parts)
    }))

  it('counts those who had seemed to have failed to a node that lost its name while it was away', () =>
    scenario(
      2,
      ({ world, node, change, strike, run }) => {
        const { name } = node(1)
        const end = strike('takeover', 0, 0.9, 0)
        world.scheduler.runUntil(() => node(1).name !== name, 12_000, 10)
        run(300)
        const told = change(node(1))
        run(1100)
        expect(told.answer).to.deep.equal({ applied: 2, of: 3, lagging: [name] })
        end()
      },
      { heartbeatIntervalMs: 4000 },
    ))

  it('may name everybody, where the writer was made to leave and has not come back yet', () =>
    scenario(
      2,
      ({ node, change, strike, run }) => {
        const end = strike('forced out while away', 0, 0)
        run(4000)
        end()
        // Its heartbeat was under way, and the next one is long to come.
        run(3200)
        const told = change(node(1))
        run(500)
        expect(told.answer).to.deep.equal({ applied: 0, of: 1, lagging: [node(2).name] })
      },
      { heartbeatIntervalMs: 4000 },
    ))
})

/** All have a write, whose writer hears of that late: when it has loaded everything anew. */
function jumpWhileAnswering({ world, node, change, changePast, run }: Scenario): void {
  const slow = ['10.0.0.2', '10.0.0.3'].map((host) => world.network.slow(host, '10.0.0.1', 300))
  const { position } = node(1).applied
  const told = change(node(1))
  world.scheduler.runUntil(() => node(1).applied.position > position, 500, 1)
  // More than is applied event by event.
  changePast(90)
  run(900)
  for (const end of slow) end()
  expect(told.answer).to.deep.equal({ applied: 3, of: 3, lagging: [] })
}
