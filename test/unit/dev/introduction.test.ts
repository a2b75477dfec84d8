import { expect } from 'chai'
import { introduction, type Surroundings } from '../../../src/dev/introduction.ts'
import { workingDirAt } from '../../../src/node/working-dir.ts'

function introduce(count: number, given: Partial<Surroundings> = {}): string {
  const nodes = Array.from({ length: count }, (_, i) => ({
    number: i + 1,
    proxy: `http://127.0.0.1:80${i}0`,
    admin: `http://127.0.0.1:80${i}1`,
    dir: workingDirAt(`/home/me/.troop/dev/node-${i + 1}`),
    settingsFile: `/home/me/.troop/dev/node-${i + 1}/settings.sh`,
  }))
  const echo = { url: 'http://127.0.0.1:8009', stop: async () => {} }
  const usual = { troop: 'troop', directory: undefined, home: '/home/me', isTried: false, hasKeys: true }
  return introduction({ nodes, echo, ...usual, ...given }).join('\n')
}

describe('the introduction to a local cluster', () => {
  it('speaks of nodes that are there', () => {
    expect(introduce(1)).to.match(/call it at once through node 1\n.*8000\/echo$/m)
    expect(introduce(1)).not.to.match(/kill -9|undefined|:80[1-9]0/)
    expect(introduce(2)).to.match(/call it at once through node 2\n.*8010\/echo$/m)
    expect(introduce(5)).to.match(/call it at once through nodes 2 and 3\n.*8010\/echo; .*8020\/echo$/m)
    expect(introduce(5)).to.match(/kill -9 \$\(cat ~\/\.troop\/dev\/node-5\/troop\.pid\);/)
  })

  it('says where the commands work, where they do not work everywhere', () => {
    expect(introduce(1)).to.match(/^Try, in another terminal:$/m)
    const checkout = introduce(1, { directory: '/src/my troop', troop: 'npm run -s troop --' })
    expect(checkout).to.match(/^Try, in another terminal, after: cd '\/src\/my troop'$/m)
    expect(checkout).to.match(/^ {2}\(\. ~\/\.troop\/dev\/node-1\/settings\.sh; npm run -s troop -- cluster/m)
  })

  it('begins with taking away what is there from the last time', () => {
    const comments = (text: string) => [...text.matchAll(/^ {2}# (.*)$/gm)].map(([, comment]) => comment)
    expect(comments(introduce(3)).at(-1)).to.match(/^take away/)
    const again = comments(introduce(3, { isTried: true }))
    expect(again[0]).to.match(/^take away/)
    expect(again.slice(1)).to.deep.equal(comments(introduce(3)).slice(0, -1))
  })

  it('speaks of keys where they can be pressed', () => {
    expect(introduce(3)).to.match(/press r/)
    expect(introduce(3, { hasKeys: false })).not.to.match(/press r|r starts/)
  })
})
