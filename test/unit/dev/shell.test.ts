import { execFileSync } from 'node:child_process'
import { expect } from 'chai'
import { shellPath, shellWord } from '../../../src/dev/shell.ts'

describe('text for a shell', () => {
  it('means to a shell what was meant', () => {
    for (const text of ['127.0.0.1:8000', '', 'two words', `it's "quoted"`, '$(exit 3) `x` \\ ~ # ;', 'a\nb'])
      expect(execFileSync('sh', ['-c', `printf %s ${shellWord(text)}`], { encoding: 'utf8' })).to.equal(text)
  })

  it('is as a person would write it where it can be', () => {
    expect(shellWord('/a/b-c_1.log')).to.equal('/a/b-c_1.log')
    expect(shellPath('/home/me/.troop/dev', '/home/me')).to.equal('~/.troop/dev')
    expect(shellPath('/home/me/a b', '/home/me')).to.equal("~/'a b'")
    expect(shellPath('/home/metoo/x', '/home/me')).to.equal('/home/metoo/x')
  })
})
