import { expect } from 'chai'
import { benchmarks, runBenchmark } from './bench.ts'

describe('the benchmarks', () => {
  it('all run, at toy size', async function () {
    this.timeout(240_000)
    const names = await benchmarks()
    expect(names).to.have.members([
      ...['changes', 'cluster', 'flood', 'log', 'memory', 'plugins', 'proxy', 'scale'],
    ])
    // That of memory has one size, and is a test of the cache.
    for (const name of names.filter((one) => one !== 'memory'))
      expect(await runBenchmark(name, { toy: true }), name)
        .to.be.a('string')
        .and.not.equal('')
  })
})
