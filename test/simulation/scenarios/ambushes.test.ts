// Each situation in which one mechanism alone stands between what goes wrong and what would be served.
import { scenario } from './scenario.ts'

describe('in a simulated cluster, what only one thing guards against', () => {
  it('does no harm: a worker takes a key that it asked for and the change of it in one go', () =>
    scenario(3, ({ strike, run }) => {
      strike('busy worker')
      run(1000)
    }))

  it('does no harm: a key was read after two changes of it, and the first is heard of then', () =>
    scenario(3, ({ strike, run }) => {
      strike('read ahead')
      run(1000)
    }))

  it('does no harm: all was purged on account of a join, and the datastore goes away', () =>
    scenario(3, ({ strike, run }) => {
      strike('outage after a join')
      run(1500)
    }))

  it('is found by a heartbeat: a change of which nobody was told', () =>
    scenario(3, ({ strike, run }) => {
      strike('deaf')
      run(5000)
    }))

  it('is found by a heartbeat: a server that is as far along in another history', () =>
    scenario(3, ({ strike, run }) => {
      strike('unheard failover', 0.5)
      run(5000)
    }))

  it('is found by a heartbeat: that the name is taken, by a node that no other one reaches', () =>
    scenario(3, ({ strike, run }) => {
      strike('takeover', 0, 0.9, 0.5)
      run(6000)
    }))
})
