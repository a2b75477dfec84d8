// ldap-auth on real sockets, with a real directory.
import { expect } from 'chai'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { type Seen, Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import { requireProgram } from '../support/program.ts'
import { type Answered, ask } from '../support/raw-http.ts'
import { Slapd, slapdBase } from '../support/slapd.ts'

const people = {
  einstein: 'password',
  'newton,ou=people': 'apple',
  'a\\2Cb': 'backslash',
  '#+"<>;= ž ': 'punctuation',
  'curie:radium': 'polonium',
  open: ' ',
}

describe('ldap-auth', () => {
  let slapd: Slapd
  let upstream: Upstream
  let gateway: TestGateway
  let api: Row
  let plugin: Row

  before(async function () {
    slapd = await Slapd.start(requireProgram(this, 'slapd'), { people })
    upstream = await new Upstream().start()
  })

  after(async () => {
    await upstream?.stop()
    await slapd?.stop()
  })

  const place = () => ({
    ldap_host: '127.0.0.1',
    ldap_port: slapd.port,
    base_dn: slapdBase,
    attribute: 'uid',
  })

  beforeEach(async () => {
    gateway = await new TestGateway().start()
    api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
    plugin = gateway.addPlugin(api, 'ldap-auth', { ...defaults, ...place() })
    gateway.addPlugin(api, 'recorder')
  })

  afterEach(() => gateway.stop())

  const send = (headers: Readonly<Record<string, string>>, host = 'test', method = 'GET') =>
    ask(gateway.port, '/', { method, headers: ['Host', host, ...Object.entries(headers).flat()] })
  let marks = 0
  /** What the directory was asked by now, in order. */
  const heard = async () => {
    const name = `mark-${++marks}`
    const config = { ...defaults, ...place() }
    const host = `${name}.test`
    gateway.addPlugin(gateway.addApi({ request_host: host, upstream_url: upstream.url }), 'ldap-auth', config)
    await send({ authorization: ldap(name, 'x') }, host)
    await slapd.heard(`uid=${name},${slapdBase}`)
    return slapd.binds.filter((dn) => !dn.startsWith('uid=mark-'))
  }
  const configure = (config: JsonObject) =>
    gateway.catalog.put('plugins', { ...plugin, config: { ...(plugin.config as JsonObject), ...config } })

  it('without a header it is 401 with a challenge [contract 468]', async () => {
    const answered = await send({})
    expect(told(answered)).deep.equal([401, { message: 'Unauthorized' }])
    expect(answered.headers['www-authenticate']).equal('LDAP realm="troop"')
  })

  const bad: [what: string, value: string, lines: string][] = [
    ['garbage', 'foobar', ' [contract 469, 470]'],
    ['the word alone', 'ldap ', ' [contract 471]'],
    ['garbage after the word', 'ldap f%obar', ''],
    ['a letter of the word', ldap('einstein', 'password').replace('ldap', 'l'), ''],
    ['another scheme', ldap('einstein', 'password').replace('ldap', 'Basic'), ''],
    ['a name and no colon', `ldap ${base64('einstein')}`, ''],
    ['an empty password', ldap('einstein', ''), ' [contract 476]'],
    ['an empty name', ldap('', 'password'), ''],
    ['one part more', ldap('einstein', 'password:another'), ' [contract 477]'],
    ['a wrong password', ldap('einstein', 'Password'), ' [contract 478]'],
    ['nobody', ldap('bohr', 'password'), ''],
    ['what is no UTF-8', `ldap ${Buffer.from('einstein:\xe9', 'latin1').toString('base64')}`, ''],
  ]
  for (const [what, value, lines] of bad) {
    it(`${what} is 403, in either header${lines}`, async () => {
      const before = upstream.requests
      for (const name of places) expect(told(await send({ [name]: value })), name).deep.equal(refused)
      expect(upstream.requests).equal(before)
    })
  }

  it('the right pair passes, in either header, however the word is spelled [contract 472-475]', async () => {
    const good = ldap('einstein', 'password')
    for (const name of places) {
      for (const spelled of [good, ` ${good}`, good.replace('ldap', 'LDAP'), good.replace(' ', '   ')]) {
        for (const method of ['GET', 'POST']) {
          const answered = await send({ [name]: spelled }, 'test', method)
          expect(answered.status, `${name}: ${spelled}`).equal(200)
          expect(seen(answered).headers['x-credential-username']).equal('einstein')
        }
      }
    }
  })

  it('the right pair in one header passes, whatever the other one says', async () => {
    const [good, wrong] = [ldap('einstein', 'password'), ldap('einstein', 'wrong')]
    for (const [first, second] of [
      [good, wrong],
      [wrong, good],
    ] as const) {
      expect((await send({ 'proxy-authorization': first, authorization: second })).status).equal(200)
    }
  })

  it('the upstream is told the name alone, whatever the client says [contract 475]', async () => {
    const lies = { 'x-credential-username': 'eve', 'x-consumer-id': 'eve' }
    const { headers } = seen(await send({ authorization: ldap('einstein', 'password'), ...lies }))
    expect(headers).include({ 'x-credential-username': 'einstein' }).and.not.have.property('x-consumer-id')
  })

  it('credentials are forwarded, or hidden from upstream and log [contract 479, 480]', async () => {
    const authorization = ldap('einstein', 'password')
    expect(seen(await send({ authorization })).headers).include({ authorization })
    configure({ hide_credentials: true })
    expect(seen(await send({ authorization })).headers).not.have.property('authorization')
    expect(JSON.stringify(await gateway.record(2))).not.include(base64('einstein:password'))
  })

  it('a name with characters that have a meaning in names is that name, and no other', async () => {
    for (const name of ['newton,ou=people', 'a\\2Cb', '#+"<>;= ž ', 'curie:radium'] as const) {
      expect((await send({ authorization: ldap(name, people[name]) })).status, name).equal(200)
    }
    const others = [
      '*',
      'einste*',
      'einstein,ou=people',
      'einstein\0',
      'einstein\\00',
      'a,b',
      'a\\,b',
      'a\\2cb\n',
    ]
    for (const name of others) {
      for (const password of ['password', 'backslash']) {
        expect(told(await send({ authorization: ldap(name, password) })), name).deep.equal(refused)
      }
    }
  })

  it('an empty password is not asked about, since the directory binds it as nobody', async () => {
    const before = (await heard()).length
    for (const value of ['einstein:', 'einstein:password:', 'einstein::']) {
      expect(told(await send({ authorization: `ldap ${base64(value)}` })), value).deep.equal(refused)
    }
    expect((await send({ authorization: ldap('open', ' ') })).status).equal(200)
    expect((await heard()).slice(before)).deep.equal([`uid=open,${slapdBase}`])
  })

  describe('remembers', () => {
    const authorization = ldap('einstein', 'password')

    /** How often the directory is asked while `work` runs. */
    const binds = async (work: () => Promise<void>) => {
      const before = (await heard()).length
      await work()
      return (await heard()).length - before
    }
    const passes = async (times: number, host = 'test') => {
      for (let i = 0; i < times; i++) expect((await send({ authorization }, host)).status).equal(200)
    }

    it('what was right, so that it is asked once [contract 481]', async () => {
      expect(await binds(() => passes(3))).equal(1)
    })

    it('and asks once for those who come at the same time', async () => {
      const all = () => Promise.all(Array.from({ length: 20 }, () => passes(1)))
      expect(await binds(() => all().then(() => undefined))).equal(1)
    })

    it('nothing with a cache_ttl of 0', async () => {
      configure({ cache_ttl: 0 })
      expect(await binds(() => passes(3))).equal(3)
    })

    it('what was right for cache_ttl, also if that was made shorter since', async () => {
      await passes(1)
      configure({ cache_ttl: 0.001 })
      expect(await binds(() => passes(1))).equal(1)
    })

    it('nothing of what was wrong', async () => {
      const wrong = ldap('einstein', 'wrong')
      const work = async () => {
        for (let i = 0; i < 3; i++) expect((await send({ authorization: wrong })).status).equal(403)
      }
      expect(await binds(work)).equal(3)
    })

    it('nothing of one directory for another one', async () => {
      await passes(2)
      const other = gateway.addApi({ request_host: 'other', upstream_url: upstream.url })
      const config = { ...defaults, ...place(), base_dn: 'ou=others,dc=example,dc=com' }
      gateway.addPlugin(other, 'ldap-auth', config)
      expect(told(await send({ authorization }, 'other'))).deep.equal(refused)
    })
  })

  it('connections are used again, also after a refusal, and closed after keepalive', async () => {
    configure({ cache_ttl: 0 })
    await heard()
    const before = slapd.connections
    for (const password of ['password', 'wrong', 'password']) {
      await send({ authorization: ldap('einstein', password) })
    }
    await heard()
    expect(slapd.connections).equal(before)
    configure({ cache_ttl: 0, keepalive: 20 })
    await send({ authorization: ldap('einstein', 'password') })
    await heard()
    expect(slapd.connections).equal(before + 1)
    // All but the one that is kept.
    await slapd.closed(before)
  })

  describe('does not let pass, nor refuse for good,', () => {
    const authorization = ldap('einstein', 'password')
    const expectUnknown = async () => {
      const answered = await send({ authorization })
      expect(told(answered)).deep.equal(unknown)
      expect(answered.headers['retry-after']).equal('1')
    }

    it('what a directory that is away does not say, and asks again', async () => {
      configure({ ldap_port: 1 })
      await expectUnknown()
      expect(gateway.lines.map(({ fields }) => (fields.error as { code?: string })?.code)).include(
        'directory-away',
      )
      configure({})
      expect((await send({ authorization })).status).equal(200)
    })

    it('what a directory that hangs does not say within the timeout', async () => {
      configure({ cache_ttl: 0 })
      expect((await send({ authorization })).status).equal(200)
      configure({ timeout: 50, cache_ttl: 0 })
      slapd.pause()
      try {
        await expectUnknown()
      } finally {
        slapd.resume()
      }
    })

    it('but what it said is good while it hangs', async () => {
      expect((await send({ authorization })).status).equal(200)
      slapd.pause()
      try {
        expect((await send({ authorization })).status).equal(200)
      } finally {
        slapd.resume()
      }
    })
  })

  describe('with start_tls', () => {
    const authorization = ldap('einstein', 'password')

    it('names and passwords go encrypted, and connections are used again', async () => {
      const demanding = await Slapd.start(slapd.program, { people, demandsTls: true })
      try {
        configure({ ldap_port: demanding.port, cache_ttl: 0 })
        expect(told(await send({ authorization })), 'in the clear').deep.equal(unknown)
        configure({ ldap_port: demanding.port, cache_ttl: 0, start_tls: true })
        for (let i = 0; i < 3; i++) expect((await send({ authorization })).status).equal(200)
        expect(told(await send({ authorization: ldap('nobody', 'wrong') }))).deep.equal(refused)
        await demanding.heard(`uid=nobody,${slapdBase}`)
        expect(demanding.connections, 'one in the clear, and one').equal(2)
      } finally {
        await demanding.stop()
      }
    })

    it('and verify_ldap_host a certificate that nobody vouches for is not taken', async () => {
      configure({ start_tls: true, verify_ldap_host: true, ldap_host: 'localhost' })
      expect(told(await send({ authorization }))).deep.equal(unknown)
    })
  })

  it('header_type is another word for the header, and for the challenge', async () => {
    configure({ header_type: 'Basic' })
    expect((await send({})).headers['www-authenticate']).equal('Basic realm="troop"')
    const value = `basic ${base64('einstein:password')}`
    expect((await send({ authorization: value })).status).equal(200)
    expect((await send({ authorization: value.replace('basic', 'ldap') })).status).equal(403)
  })

  it('acl behind it refuses, since nobody knows a consumer', async () => {
    gateway.addPlugin(api, 'acl', { whitelist: ['staff'] })
    expect((await send({ authorization: ldap('einstein', 'password') })).status).equal(403)
  })

  it('limits count each of its users apart, however the name is spelled', async () => {
    gateway.addPlugin(api, 'rate-limiting', { hour: 2, policy: 'local', continue_on_error: true })
    const status = async (name: string, password: string) =>
      (await send({ authorization: ldap(name, password) })).status
    expect(await status('einstein', 'password')).equal(200)
    expect(await status(' EinStein  ', 'password')).equal(200)
    expect(await status('EINSTEIN', 'password')).equal(429)
    expect(await status('curie:radium', 'polonium')).equal(200)
  })
})

const places = ['authorization', 'proxy-authorization']
const defaults: JsonObject = {
  start_tls: false,
  verify_ldap_host: false,
  cache_ttl: 60,
  hide_credentials: false,
  timeout: 10_000,
  keepalive: 60_000,
}
const refused = [403, { message: 'Invalid authentication credentials' }]
const unknown = [
  503,
  { message: 'The directory cannot be asked, and whether the credentials are right is not known without it' },
]

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

function ldap(name: string, password: string): string {
  return `ldap ${base64(`${name}:${password}`)}`
}

const told = ({ status, body }: Answered) => [status, JSON.parse(body)]
const seen = ({ body }: Answered) => JSON.parse(body) as Seen
