// That the oracle sees what it is there to see: some mistakes here, all of them with npm run simulate:mutants.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { root } from '../support/sources.ts'
import { mutations } from './mutations.ts'
import { Workshop } from './workshop.ts'

/** Those that take a seed or two. */
const quick = [
  'what a row was called before stays cached',
  'what is not known is taken for absent',
  'a worker looks things up before it has taken what was posted',
]

describe('mistakes in the protocol', function () {
  this.timeout(120_000)

  it('can all be made still: each text that one replaces is in its file, once', () => {
    const gone = mutations.flatMap(({ mistake, edits }) =>
      edits
        .filter(({ file, from }) => readFileSync(join(root, file), 'utf8').split(from).length !== 2)
        .map(({ file }) => `${mistake}: ${file}`),
    )
    expect(gone).to.deep.equal([])
    expect(new Set(mutations.map(({ mistake }) => mistake)).size).to.equal(mutations.length)
  })

  it('are found by the simulation, in a few seeds', async () => {
    const workshop = await Workshop.open(40)
    try {
      for (const mutation of mutations.filter(({ mistake }) => quick.includes(mistake))) {
        const { mistake, seeds } = await workshop.try(mutation, 1)
        expect(seeds, mistake).to.be.a('number')
      }
    } finally {
      await workshop.close()
    }
  })
})
