// The bench that plugins are tried on (troop/testing), as a plugin's own test uses it.
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:tls'
import { expect } from 'chai'
import { commonFields, consumerField, defineEntity, definePlugin, Refusal } from '../../src/index.ts'
import { type Bench, startBench } from '../../src/testing/testing.ts'
import { certificate, certificateKey } from '../support/certificate.ts'

const badge = defineEntity({
  name: 'badges',
  fields: {
    ...commonFields,
    consumer_id: consumerField,
    code: { type: 'string', required: true },
    seen: { type: 'number', default: 0 },
  },
  lookups: [{ prefix: 'badges', by: ['code'] }],
  owner: { column: 'consumer_id', path: 'badges' },
})

const doorman = definePlugin({
  name: 'doorman',
  priority: 900,
  config: { closed_from: { type: 'number', default: 24, check: (hour) => hourFault(hour as number) } },
  entities: [badge],
  open: ({ clock, writer, counters, logger }) => ({
    async access(request, config, { catalog }) {
      if (new Date(clock.now()).getUTCHours() >= (config.closed_from as number))
        throw new Refusal(403, 'closed')
      const code = request.headers.get('badge') ?? ''
      const found = await catalog.one(badge, badge.lookups[0], code)
      if (!found) throw new Refusal(401, 'who are you?')
      const limits = { minute: 2 }
      const api = request.api.id as string
      const { counted } = await counters.local.take({ table: 'x', api, identifier: code, limits })
      if (!counted) throw new Refusal(429, 'again?')
      request.credential = found
      logger.info('came in', { code })
      request.headers.set('X-Seen', String(found.seen))
      return undefined
    },
    headers(_response, _config, { credential }) {
      if (!credential) return
      const { code, seen } = credential
      void writer.update(badge, { code: code as string }, { seen: Number(seen) + 1 })
    },
  }),
})

function hourFault(hour: number): { error: string } | undefined {
  return hour > 24 ? { error: 'a day has 24 hours' } : undefined
}

describe('the bench for plugins', () => {
  let bench: Bench
  beforeEach(async () => {
    bench = await startBench({ plugins: [doorman] })
    bench.clock.set('2026-11-26T12:00:00Z')
  })
  afterEach(() => bench.stop())

  const enter = (code: string) => bench.fetch('/hall', { headers: { badge: code } })

  async function giveBadge(code: string): Promise<void> {
    await bench.consumer('bob')
    expect((await bench.admin('POST', '/consumers/bob/badges', { code })).status).to.equal(201)
  }

  it('has a request go from socket to socket through the plugin that is configured', async () => {
    await giveBadge('b1')
    await bench.configure('doorman')
    expect((await enter('other')).status).to.equal(401)
    expect((await enter('b1')).status).to.equal(200)
    expect(bench.upstream.seen).to.have.length(1)
    expect(bench.upstream.seen.at(-1)).to.deep.include({ method: 'GET', url: '/hall' })
    expect(bench.upstream.seen.at(-1)?.headers['x-seen']).to.equal('0')
  })

  it('checks a configuration as the Admin API does, and says why it is refused', async () => {
    const error = await bench.configure('doorman', { closed_from: 25 }).catch((error) => error)
    expect(error.message).to.equal(
      'POST /apis/bench/plugins was answered 400: {"config.closed_from":"a day has 24 hours"}',
    )
  })

  it('keeps what a plugin is to hold apart, as its lookups say it', async () => {
    await giveBadge('b1')
    const twin = await bench.admin('POST', '/consumers/bob/badges', { code: 'b1' })
    expect({ status: twin.status, body: twin.body }).to.deep.equal({
      status: 409,
      body: { code: "already exists with value 'b1'" },
    })
  })

  it('has what the plugin writes, and what is changed or removed, known with the next request', async () => {
    await giveBadge('b1')
    await bench.configure('doorman')
    await enter('b1')
    await enter('b1')
    expect(bench.upstream.seen.map(({ headers }) => headers['x-seen'])).to.deep.equal(['0', '1'])
    await bench.admin('DELETE', '/consumers/bob')
    bench.clock.advance(60_000)
    expect((await enter('b1')).status).to.equal(401)
    expect((await bench.admin('GET', '/status')).body.database.badges).to.equal(0)
  })

  it('tells plugins the time that a test sets, and counts by it', async () => {
    await giveBadge('b1')
    await bench.configure('doorman', { closed_from: 17 })
    const statuses = [await enter('b1'), await enter('b1'), await enter('b1')].map(({ status }) => status)
    expect(statuses).to.deep.equal([200, 200, 429])
    bench.clock.advance(60_000)
    expect((await enter('b1')).status).to.equal(200)
    bench.clock.set('2026-11-26T17:00:00Z')
    expect((await enter('b1')).status).to.equal(403)
  })

  it('can know nothing, which is not to know that there is nothing', async () => {
    await giveBadge('b1')
    await bench.configure('doorman')
    const remember = bench.forget()
    expect((await enter('b1')).status).to.equal(503)
    remember()
    expect((await enter('b1')).status).to.equal(200)
  })

  it('configures a plugin anew, and for one consumer', async () => {
    const bob = await bench.consumer('bob')
    await bench.configure('rate-limiting', { minute: 5 })
    await bench.configure('rate-limiting', { minute: 6 })
    await bench.configure('rate-limiting', { minute: 7 }, bob)
    const { data } = (await bench.admin('GET', '/plugins')).body
    expect(data.map((row: { config: { minute: number } }) => row.config.minute)).to.deep.equal([6, 7])
  })

  it('keeps what was logged, and the record of every request', async () => {
    await giveBadge('b1')
    await bench.configure('doorman')
    await enter('b1')
    expect(bench.lines.find(({ sentence }) => sentence === 'came in')).to.deep.equal({
      level: 'info',
      scope: 'plugins/doorman',
      sentence: 'came in',
      fields: { code: 'b1' },
    })
    expect((await bench.record(1)).request).to.deep.include({ method: 'GET', uri: '/hall' })
  })

  it('says what a plugin threw, and where, besides the 500', async () => {
    const told: string[] = []
    const careless = definePlugin({
      name: 'careless',
      phases: {
        access() {
          throw new TypeError('so careless')
        },
      },
    })
    await using other = await startBench({ plugins: [careless], print: (text) => told.push(text) })
    await other.configure('careless')
    expect((await other.fetch('/')).status).to.equal(500)
    expect(told).to.have.length(1)
    expect(told[0]).to.match(/careless.*\n.*so careless\n.*at .*testing\.test\.ts/s)
  })

  it('takes TLS where that is wanted, and shows what a plugin has for the name', async () => {
    const own = definePlugin({
      name: 'own-certificate',
      phases: {
        certificate: (name) => (name === 'a.test' ? { certificate, key: certificateKey } : undefined),
      },
    })
    await using secure = await startBench({ plugins: [own], tls: true })
    const upstream_url = secure.upstream.url
    for (const name of ['a', 'b']) {
      await secure.admin('POST', '/apis', { name, request_host: `${name}.test`, upstream_url })
      await secure.admin('POST', `/apis/${name}/plugins`, { name: 'own-certificate' })
    }
    const shown = async (servername: string) => {
      const socket = connect({
        host: '127.0.0.1',
        port: secure.tlsPort,
        servername,
        rejectUnauthorized: false,
      })
      await once(socket, 'secureConnect')
      const { raw } = socket.getPeerCertificate()
      socket.destroy()
      return raw.equals(new X509Certificate(certificate).raw)
    }
    expect([await shown('a.test'), await shown('b.test')]).to.deep.equal([true, false])
  })

  it('refuses what a node would not load', async () => {
    const twin = definePlugin({ name: 'key-auth', phases: {} })
    const error = await startBench({ plugins: [twin] }).catch((error) => error)
    expect(error.message).to.equal('the plugin key-auth cannot be used: there is a plugin key-auth already')
  })

  it('ends with the block that uses it', async () => {
    let url = ''
    {
      await using short = await startBench()
      url = short.proxyUrl
      expect((await short.fetch('/')).status).to.equal(200)
    }
    expect((await fetch(url).catch((error) => error)).cause.code).to.equal('ECONNREFUSED')
  })
})
