import { expect } from 'chai'
import { benchmarks, runBenchmark } from './bench.ts'

describe('the benchmarks', () => {
  it('all run, at toy size', async function () {
    this.timeout(240_000)
    const names = await benchmarks()
    expect(names).to.have.members([
      ...['changes', 'cluster', 'flood', 'log', 'memory', 'plugins', 'proxy', 'scale'],
    ])
    for (const name of names)
      expect(await runBenchmark(name, { toy: true }), name)
        .to.be.a('string')
        .and.not.equal('')
  })
})
