import { expect } from 'chai'
import { benchmarks, runBenchmark } from './bench.ts'

/**
 * Those that are not run here: each starts many nodes, or loads a machine with all that it has, for most of a minute. They are
 * to be run at toy size by whoever changes them; `memory` has one size, and is a test of the cache as it is.
 */
const left = ['cluster', 'flood', 'memory', 'scale']

describe('the benchmarks', () => {
  it('run, at toy size', async function () {
    this.timeout(240_000)
    const names = await benchmarks()
    expect(names).to.have.members([...left, 'changes', 'log', 'plugins', 'proxy'])
    for (const name of names.filter((one) => !left.includes(one)))
      expect(await runBenchmark(name, { toy: true }), name)
        .to.be.a('string')
        .and.not.equal('')
  })
})
