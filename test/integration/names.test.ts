// Names of upstreams, asked of a real name server on UDP.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { systemClock } from '../../src/base/clock.ts'
import { Names } from '../../src/proxy/outbound/names.ts'
import { DnsServer } from '../support/dns-server.ts'
import { TestGateway } from '../support/gateway.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { ask } from '../support/raw-http.ts'

describe('names of upstreams', () => {
  let dns: DnsServer
  let dir: string
  let clock: ManualClock
  let names: Names

  beforeEach(async () => {
    dns = await new DnsServer().start()
    dir = await mkdtemp(join(tmpdir(), 'troop-names-'))
    clock = new ManualClock()
    names = namesOn(clock)
  })
  afterEach(async () => {
    await dns.stop()
    await rm(dir, { recursive: true })
  })

  function namesOn(clock: ManualClock | typeof systemClock): Names {
    const files = { hostsFile: join(dir, 'hosts'), resolvFile: join(dir, 'resolv.conf') }
    return new Names({ clock, servers: [dns.address], timeoutMs: 100, ...files })
  }

  const addresses = async (name: string) => (await names.resolve(name)).map(({ address }) => address)
  const codeFor = (name: string) => names.resolve(name).catch((error: NodeJS.ErrnoException) => error.code)

  it('localhost is this machine, by IPv4 first, and nobody is asked', async () => {
    for (const name of ['localhost', 'LocalHost', 'a.localhost']) {
      expect(await addresses(name)).deep.equal(['127.0.0.1', '::1'])
    }
    expect(dns.asked).deep.equal([])
  })

  it('the hosts file comes before DNS, and a change of it is seen', async () => {
    dns.names.set('a.test', { addresses: ['10.0.0.1'], ttlSeconds: 60 })
    await writeFile(join(dir, 'hosts'), '10.0.0.7 a.test\n10.0.0.8 A.test')
    for (let i = 0; i < 2; i++) expect(await addresses('A.Test')).deep.equal(['10.0.0.7', '10.0.0.8'])
    expect(dns.asked).deep.equal([])
    await writeFile(join(dir, 'hosts'), '10.0.0.9 b.test')
    clock.advance(5001)
    expect(await addresses('a.test')).deep.equal(['10.0.0.1'])
    expect(await addresses('b.test')).deep.equal(['10.0.0.9'])
  })

  it('an answer is kept for its time and no longer, also one without any', async () => {
    dns.names.set('a.test', { addresses: ['10.0.0.1'], ttlSeconds: 60 })
    expect(await addresses('a.test')).deep.equal(['10.0.0.1'])
    dns.names.set('a.test', { addresses: ['10.0.0.2'], ttlSeconds: 0 })
    clock.advance(59_999)
    expect(await addresses('a.test')).deep.equal(['10.0.0.1'])
    expect(dns.asked).deep.equal(['A a.test'])
    clock.advance(2)
    expect(await addresses('a.test')).deep.equal(['10.0.0.2'])
    dns.names.set('a.test', { addresses: ['10.0.0.3'], ttlSeconds: 60 })
    expect(await addresses('a.test')).deep.equal(['10.0.0.3'])
    expect(dns.asked).length(3)
  })

  it('many who ask at once are one question', async () => {
    dns.names.set('a.test', { addresses: ['10.0.0.1'], ttlSeconds: 60 })
    const all = await Promise.all(Array.from({ length: 100 }, () => addresses('a.test')))
    expect(new Set(all.flat())).deep.equal(new Set(['10.0.0.1']))
    expect(dns.asked).deep.equal(['A a.test'])
  })

  it('IPv6 is asked for when there is no IPv4', async () => {
    dns.names.set('both.test', { addresses: ['fd00::1', '10.0.0.1'], ttlSeconds: 60 })
    dns.names.set('six.test', { addresses: ['fd00::1'], ttlSeconds: 60 })
    expect(await names.resolve('both.test')).deep.equal([{ address: '10.0.0.1', family: 4 }])
    expect(await names.resolve('six.test')).deep.equal([{ address: 'fd00::1', family: 6 }])
    expect(dns.asked).deep.equal(['A both.test', 'A six.test', 'AAAA six.test'])
  })

  it('of several addresses another one comes first each time, for each name by itself', async () => {
    dns.names.set('a.test', { addresses: ['10.0.0.1', '10.0.0.2', '10.0.0.3'], ttlSeconds: 60 })
    dns.names.set('b.test', { addresses: ['10.0.1.1', '10.0.1.2'], ttlSeconds: 60 })
    const firsts: (string | undefined)[] = []
    for (let i = 0; i < 4; i++)
      for (const name of ['a.test', 'b.test']) firsts.push((await addresses(name))[0])
    const [a, b] = [0, 1].map((odd) => firsts.filter((_, i) => i % 2 === odd))
    expect(a).deep.equal(['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.1'])
    expect(b).deep.equal(['10.0.1.1', '10.0.1.2', '10.0.1.1', '10.0.1.2'])
    expect(await addresses('a.test')).deep.equal(['10.0.0.2', '10.0.0.3', '10.0.0.1'])
  })

  it('a name that does not exist, or has no address, is asked for again after a short while', async () => {
    dns.names.set('empty.test', { addresses: [], ttlSeconds: 60 })
    for (const name of ['none.test', 'empty.test', 'no..name']) {
      expect(await codeFor(name), name).equal('ENOTFOUND')
      expect(await codeFor(name), name).equal('ENOTFOUND')
    }
    expect(dns.asked).deep.equal(['A none.test', 'A empty.test', 'AAAA empty.test'])
    dns.names.set('none.test', { addresses: ['10.0.0.1'], ttlSeconds: 60 })
    clock.advance(5001)
    expect(await addresses('none.test')).deep.equal(['10.0.0.1'])
  })

  for (const away of ['silence', 'server failure', 'refused'] as const) {
    it(`what is known is used while the resolver is away (${away}), and nobody waits for it but once`, async () => {
      dns.names.set('a.test', { addresses: ['10.0.0.1'], ttlSeconds: 1 })
      await addresses('a.test')
      dns.names.set('a.test', away)
      clock.advance(1001)
      expect(await addresses('a.test')).deep.equal(['10.0.0.1'])
      const { length } = dns.asked
      expect(await addresses('a.test')).deep.equal(['10.0.0.1'])
      expect(dns.asked).length(length)
      // Asked again after a while, and meanwhile the old answer is there at once.
      clock.advance(5001)
      dns.names.set('a.test', { addresses: ['10.0.0.2'], ttlSeconds: 60 })
      expect(await addresses('a.test')).deep.equal(['10.0.0.1'])
      while ((await addresses('a.test'))[0] !== '10.0.0.2')
        await new Promise((resolve) => setImmediate(resolve))
    })
  }

  it('what is not known is an error while the resolver is away, and is asked for each time', async () => {
    dns.names.set('a.test', 'server failure')
    expect(await codeFor('a.test')).equal('ESERVFAIL')
    dns.names.set('a.test', { addresses: ['10.0.0.1'], ttlSeconds: 60 })
    expect(await addresses('a.test')).deep.equal(['10.0.0.1'])
  })

  it('that it is gone is believed, whatever was known', async () => {
    dns.names.set('a.test', { addresses: ['10.0.0.1'], ttlSeconds: 1 })
    await addresses('a.test')
    dns.names.delete('a.test')
    clock.advance(1001)
    expect(await codeFor('a.test')).equal('ENOTFOUND')
  })

  it('short names are completed as resolv.conf says, also after it changed', async () => {
    dns.names.set('svc.ns.test', { addresses: ['10.0.0.1'], ttlSeconds: 1 })
    dns.names.set('svc.other.test', { addresses: ['10.0.0.2'], ttlSeconds: 1 })
    await writeFile(join(dir, 'resolv.conf'), 'search none.test ns.test')
    expect(await addresses('svc')).deep.equal(['10.0.0.1'])
    expect(dns.asked).deep.equal(['A svc.none.test', 'A svc.ns.test'])
    await writeFile(join(dir, 'resolv.conf'), 'search other.test')
    clock.advance(5001)
    expect(await addresses('svc')).deep.equal(['10.0.0.2'])
  })

  describe('through the proxy', () => {
    let gateway: TestGateway
    let servers: http.Server[]

    beforeEach(async () => {
      servers = []
      gateway = await new TestGateway({
        outbound: { names: namesOn(systemClock), timeouts: { connectMs: 2000 } },
      }).start()
    })
    afterEach(async () => {
      await gateway.stop()
      for (const server of servers) server.close()
    })

    /** An upstream on one address of this machine that says which, and closes each connection. */
    async function serve(address: string, port = 0): Promise<number> {
      const server = http.createServer((_request, response) => {
        response.writeHead(200, { Connection: 'close' }).end(address)
      })
      servers.push(server)
      await new Promise<void>((resolve) => server.listen(port, address, resolve))
      return (server.address() as AddressInfo).port
    }

    const answer = async () => {
      const { status, body } = await ask(gateway.port, '/')
      return status === 200 ? body : status
    }

    const reason = () => (gateway.lines[0]?.fields.error as Error | undefined)?.message

    it('requests follow the answer as it changes', async function () {
      const port = await serve('127.0.0.1')
      if (!(await hasAddress('127.0.0.2'))) this.skip()
      await serve('127.0.0.2', port)
      gateway.addApi({ request_host: 'test', upstream_url: `http://up.test:${port}` })
      dns.names.set('up.test', { addresses: ['127.0.0.1'], ttlSeconds: 0 })
      expect(await answer()).equal('127.0.0.1')
      dns.names.set('up.test', { addresses: ['127.0.0.2'], ttlSeconds: 0 })
      expect(await answer()).equal('127.0.0.2')
      dns.names.delete('up.test')
      expect(await answer()).equal(502)
      expect(reason()).equal('the upstream failed: up.test has no address')
    })

    it('several addresses are tried in turn, and those that live share the load', async function () {
      const port = await serve('127.0.0.1')
      if (!(await hasAddress('127.0.0.2'))) this.skip()
      await serve('127.0.0.2', port)
      gateway.addApi({ request_host: 'test', upstream_url: `http://up.test:${port}` })
      dns.names.set('up.test', { addresses: ['127.0.0.3', '127.0.0.1', '127.0.0.2'], ttlSeconds: 60 })
      const answers: unknown[] = []
      for (let i = 0; i < 6; i++) answers.push(await answer())
      expect(answers.filter((one) => one === '127.0.0.1')).length(4)
      expect(answers.filter((one) => one === '127.0.0.2')).length(2)
    })

    it('a resolver that never answers is 502 with its reason', async () => {
      gateway.addApi({ request_host: 'test', upstream_url: 'http://up.test' })
      dns.names.set('up.test', 'silence')
      expect(await answer()).equal(502)
      expect(reason()).match(/ETIMEOUT up\.test/)
    })
  })
})

/** Linux has all of 127.0.0.0/8, others have what they were given. */
function hasAddress(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => {
      console.warn(`      ${address} is no address of this machine: not tried`)
      resolve(false)
    })
    server.listen(0, address, () => server.close(() => resolve(true)))
  })
}
