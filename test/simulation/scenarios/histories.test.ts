import { scenario } from './scenario.ts'

describe('in a simulated cluster, a datastore that has lost its newest changes', () => {
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
