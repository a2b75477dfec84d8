// The tools of this checkout, told what they do not understand: two of them, which start soonest, for all.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect } from 'chai'
import { root } from './support/sources.ts'

describe('a tool of this checkout', function () {
  this.timeout(30_000)
  const run = (file: string, ...words: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, file), ...words], {
      encoding: 'utf8',
    })
    return { status, stdout, stderr }
  }
  const mutants = 'test/simulation/mutants.ts'
  const usage = 'usage: npm run simulate:mutants -- [--seed N] [--only TEXT|TEXT…] [--most N] [--write]\n'

  it('says what it does not know, and how it is used', () => {
    const { status, stdout, stderr } = run(mutants, '--bogus')
    expect({ status, stdout }).to.deep.equal({ status: 2, stdout: '' })
    expect(stderr).to.match(/^Unknown option '--bogus'/)
    expect(stderr.endsWith(usage)).to.equal(true)
  })

  it('says how it is used when it is asked', () => {
    expect(run(mutants, '--help')).to.deep.equal({ status: 0, stdout: usage, stderr: '' })
  })

  it('names the option, and what is no number', () => {
    const { status, stderr } = run('test/fuzz/fuzz.ts', 'lanes', '--cases', '1e3')
    expect(status).to.equal(2)
    expect(stderr).to.match(/^--cases: expected a number, got "1e3"\nusage: npm run fuzz -- /)
  })
})
