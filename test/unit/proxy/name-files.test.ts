import { expect } from 'chai'
import { completions, parseHosts, parseSearch } from '../../../src/proxy/outbound/name-files.ts'

describe('the system’s files about names', () => {
  it('hosts: every name of every line, in any case, comments and nonsense aside, IPv4 first', () => {
    const hosts = parseHosts(
      '# a comment\n::1 both.test\n127.0.0.1\tlocalhost Both.Test # and more\n\nnothing here\n10.0.0.1 both.test\n',
    )
    expect([...hosts.keys()]).deep.equal(['both.test', 'localhost'])
    const both = hosts.get('both.test')?.map(({ address, family }) => [address, family])
    expect(both).deep.equal([
      ['127.0.0.1', 4],
      ['10.0.0.1', 4],
      ['::1', 6],
    ])
  })

  it('resolv.conf: the last search or domain line, and ndots', () => {
    expect(parseSearch('nameserver 10.0.0.1\n')).deep.equal({ domains: [], ndots: 1 })
    const text = 'domain old.test\nsearch A.test b.test.\n; comment\noptions timeout:1 ndots:5\n'
    expect(parseSearch(text)).deep.equal({ domains: ['a.test', 'b.test'], ndots: 5 })
    expect(parseSearch('options ndots:99\nsearch .')).deep.equal({ domains: [], ndots: 15 })
  })

  it('a name with few dots is completed first, one with many is taken as it is first, one with a last dot only', () => {
    const search = { domains: ['a.test', 'b.test'], ndots: 2 }
    expect(completions('x.y', search)).deep.equal(['x.y.a.test', 'x.y.b.test', 'x.y'])
    expect(completions('x.y.z', search)).deep.equal(['x.y.z', 'x.y.z.a.test', 'x.y.z.b.test'])
    expect(completions('x.y.', search)).deep.equal(['x.y'])
    expect(completions('x', { domains: [], ndots: 1 })).deep.equal(['x'])
  })
})
