// The listener for TLS, on real sockets.
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Row } from '../../src/base/json.ts'
import { systemRandom } from '../../src/base/random.ts'
import { makeSelfSigned } from '../../src/node/self-signed.ts'
import { definePlugin, type KeyPair, type Phases } from '../../src/plugins/plugin.ts'
import { type Counter, Counters } from '../../src/proxy/counters.ts'
import { type Seen, Upstream } from '../../src/testing/upstream.ts'
import { certificate } from '../support/certificate.ts'
import { curl } from '../support/curl.ts'
import { TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { until } from '../support/log.ts'
import { requireProgram } from '../support/program.ts'
import { type Answered, ask, connect, connectTls, exchange } from '../support/raw-http.ts'

describe('proxy over TLS', () => {
  let upstream: Upstream
  let gateway: TestGateway

  beforeEach(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway().start()
  })

  afterEach(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  async function restart(options: TestGatewayOptions): Promise<void> {
    await gateway.stop()
    gateway = await new TestGateway(options).start()
  }

  function addApi(row: Row = {}): Row {
    const api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url, ...row })
    gateway.addPlugin(api, 'recorder')
    return api
  }

  const seen = ({ body }: Answered) => JSON.parse(body) as Seen
  const count = (counter: Counter) => new Counters(gateway.counters).get(counter)
  const open = () => (['active', 'reading', 'writing', 'waiting'] as const).map(count)

  describe('what comes through', () => {
    it('is proxied as on the plain port, and said to be HTTPS to upstream, plugins and log [contract 92]', async () => {
      const encrypted: boolean[] = []
      const looking = definePlugin({
        name: 'looking',
        phases: { access: ({ incoming }) => void encrypted.push(incoming.encrypted) as undefined },
      })
      await restart({ plugins: [looking] })
      gateway.addPlugin(addApi(), 'looking')
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        const versions = { minVersion: version, maxVersion: version }
        const reply = await ask(gateway.tlsPort, '/a%2Fb?x', { method: 'POST', body: 'hello', tls: versions })
        expect(reply.headers).include({ via: 'troop/1.2.3', server: 'upstream/1' })
        expect(seen(reply)).include({ url: '/a%2Fb?x', body: 'hello' })
        expect(seen(reply).headers).include({ 'x-forwarded-proto': 'https', 'x-real-ip': '127.0.0.1' })
      }
      expect(encrypted).deep.equal([true, true])
      const { request, response } = await gateway.record()
      expect(request).include({ request_uri: `https://test:${gateway.tlsPort}/a%2Fb?x` })
      expect(Number((response as Row).size)).within(300, 1000)
    })

    it('an X-Forwarded-Proto of the client is replaced on either port', async () => {
      addApi()
      const headers = ['Host', 'test', 'X-Forwarded-Proto', 'ftp']
      const proto = (reply: Answered) => seen(reply).headers['x-forwarded-proto']
      expect(proto(await ask(gateway.tlsPort, '/', { headers, tls: {} }))).equal('https')
      expect(proto(await ask(gateway.port, '/', { headers }))).equal('http')
    })

    it('is offered nothing older than TLS 1.2', async () => {
      const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
      const refused = await connectTls(gateway.tlsPort, old).catch((error) => error.code)
      expect(refused).match(/ALERT_PROTOCOL_VERSION/)
    })

    it('many requests share one connection, also when they stream much both ways', async () => {
      addApi()
      upstream.answer = (request, response) => request.pipe(response)
      const agent = new https.Agent({ keepAlive: true, maxSockets: 1 })
      const body = Buffer.alloc(2 * 1024 * 1024, 'troop')
      for (let i = 0; i < 3; i++) {
        const reply = await ask(gateway.tlsPort, '/', { method: 'POST', body, agent, tls: {} })
        expect(reply.body === body.toString()).equal(true)
      }
      expect(count('accepted')).equal(1)
      agent.destroy()
    })

    it('a client that goes away takes the upstream request with it', async () => {
      addApi()
      const arrived = Promise.withResolvers<void>()
      const aborted = Promise.withResolvers<void>()
      upstream.answer = (_request, response) => {
        response.on('close', () => aborted.resolve())
        arrived.resolve()
      }
      const socket = await connectTls(gateway.tlsPort)
      socket.write('GET / HTTP/1.1\r\nHost: test\r\n\r\n')
      await arrived.promise
      socket.destroy()
      await aborted.promise
      expect((await gateway.record()).response).include({ status: 499 })
    })

    it('curl trusts it by its certificate', async function () {
      requireProgram(this, 'curl')
      addApi()
      const dir = await mkdtemp(join(tmpdir(), 'troop-curl-'))
      await writeFile(join(dir, 'ca.pem'), certificate)
      const url = `https://localhost:${gateway.tlsPort}/x`
      const told = await curl('--cacert', join(dir, 'ca.pem'), '-H', 'Host: test', url)
      await rm(dir, { recursive: true })
      expect(JSON.parse(told)).include({ url: '/x' })
    })
  })

  describe('strictness and limits are those of the plain port', () => {
    it('what is refused there is refused here', async () => {
      const post = (headers: string, body = '') =>
        `POST / HTTP/1.1\r\nHost: test\r\n${headers}\r\n\r\n${body}`
      const replies: [bytes: string, status: number][] = [
        ['NOT HTTP\r\n\r\n', 400],
        [post('Content-Length: 4\r\nTransfer-Encoding: chunked', '0\r\n\r\n'), 400],
        [post('Content-Length: 4\r\nContent-Length: 5', 'abcde'), 400],
        [post('Transfer-Encoding: gzip, chunked', '0\r\n\r\n'), 501],
        [post(`X: ${'x'.repeat(40_000)}`), 431],
        ['GET / HTTP/1.1\r\n\r\n', 400],
      ]
      for (const [bytes, status] of replies) {
        expect(await exchange(gateway.tlsPort, bytes, 'tls'), bytes.slice(0, 60)).match(
          new RegExp(`^HTTP/1.1 ${status} `),
        )
      }
      expect(upstream.requests).equal(0)
      expect(count('handshakesFailed')).equal(0)
    })

    it('a head that does not come to its end is 408, and so is an upload that stands still', async () => {
      await restart({ inboundTimeoutMs: 200 })
      addApi()
      expect(await exchange(gateway.tlsPort, 'GET / HTTP/1.1\r\nHost: te', 'tls')).match(/^HTTP\/1\.1 408 /)
      const head = 'POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n'
      expect(await exchange(gateway.tlsPort, `${head}abc`, 'tls')).match(/^HTTP\/1\.1 408 /)
    })

    it('connections and requests are counted with those of the plain port', async () => {
      addApi()
      const agent = new https.Agent({ keepAlive: true })
      await ask(gateway.tlsPort, '/', { agent, tls: {} })
      await ask(gateway.tlsPort, '/', { agent, tls: {} })
      expect(open()).deep.equal([1, 0, 0, 1])
      await ask(gateway.port, '/')
      expect((['accepted', 'handled', 'requests', 'routed'] as const).map(count)).deep.equal([2, 2, 3, 3])
      agent.destroy()
      await until(() => count('active') === 0)
      expect(open()).deep.equal([0, 0, 0, 0])
    })
  })

  describe('handshakes that fail', () => {
    /** Each ends a connection before TLS was agreed on. */
    const failures: Record<string, (port: number) => Promise<unknown>> = {
      'no TLS at all': (port) => exchange(port, 'GET / HTTP/1.1\r\nHost: test\r\n\r\n'),
      garbage: (port) => exchange(port, '\x16\x03\x01\xff\xffgarbage'.padEnd(20_000, 'x')),
      'somebody who goes at once': async (port) => (await connect(port)).destroy(),
      'somebody who resets': async (port) => {
        const socket = await connect(port)
        socket.write('\x16\x03\x01')
        socket.resetAndDestroy()
      },
      'half a hello': async (port) => {
        const socket = await connect(port)
        socket.end('\x16\x03\x01\x02\x00\x01')
        await once(socket.resume(), 'close')
      },
      'an old version': (port) =>
        connectTls(port, {
          minVersion: 'TLSv1.1',
          maxVersion: 'TLSv1.1',
          ciphers: 'DEFAULT@SECLEVEL=0',
        }).catch(() => undefined),
    }
    for (const [what, fail] of Object.entries(failures)) {
      it(`${what}: counted, and the connection is gone`, async () => {
        for (let i = 0; i < 3; i++) await fail(gateway.tlsPort)
        await until(() => count('handshakesFailed') === 3 && count('active') === 0)
        expect(open()).deep.equal([0, 0, 0, 0])
        expect(count('accepted')).equal(3)
      })
    }

    for (const version of ['1.2', '1.3']) {
      it(`a certificate that the client of TLS ${version} refuses: counted, with its reason`, async function () {
        requireProgram(this, 'curl')
        const url = `https://localhost:${gateway.tlsPort}/`
        const told = await curl('--tls-max', version, url).catch((error) => error.message)
        expect(told).match(/self[- ]signed/)
        await until(() => count('handshakesFailed') === 1 && count('active') === 0)
        expect(open()).deep.equal([0, 0, 0, 0])
        expect(gateway.lines[0]?.fields.reason).match(/unknown ca/)
      })
    }

    it('hundreds at once are counted exactly, and each reason is logged once', async () => {
      const all = Array.from({ length: 40 }, () => Object.values(failures)).flat()
      await Promise.all(all.map((fail) => fail(gateway.tlsPort)))
      await until(() => count('handshakesFailed') === all.length && count('active') === 0)
      expect(open()).deep.equal([0, 0, 0, 0])
      const told = gateway.lines.filter(({ sentence }) => sentence === 'a TLS handshake failed')
      expect(told.length).within(3, 8)
      expect(told.map(({ fields }) => String(fields.reason)).join()).include('http request')
      addApi()
      expect((await ask(gateway.tlsPort, '/', { tls: {} })).status).equal(200)
    })

    it('one that takes too long is cut', async () => {
      await restart({ tls: { handshakeTimeoutMs: 100 } })
      const socket = await connect(gateway.tlsPort)
      const since = performance.now()
      socket.write('\x16\x03\x01\x02\x00\x01')
      await once(socket.resume(), 'close')
      expect(performance.now() - since).within(90, 5000)
      await until(() => count('active') === 0)
      expect(count('handshakesFailed')).equal(1)
      expect(gateway.lines[0]?.fields.reason).equal('TLS handshake timeout')
    })
  })

  describe('certificates', () => {
    const other = newPair()

    it('another one is shown from the next handshake on, and no connection is dropped', async () => {
      addApi()
      const agent = new https.Agent({ keepAlive: true, maxSockets: 1 })
      await ask(gateway.tlsPort, '/', { agent, tls: {} })
      gateway.tlsInbound.present(other)
      expect((await ask(gateway.tlsPort, '/', { agent, tls: {} })).status).equal(200)
      expect(count('accepted')).equal(1)
      agent.destroy()
      const refused = await ask(gateway.tlsPort, '/', { tls: {} }).catch((error) => error.code)
      expect(refused).equal('DEPTH_ZERO_SELF_SIGNED_CERT')
      expect((await ask(gateway.tlsPort, '/', { tls: { ca: other.certificate } })).status).equal(200)
    })

    it('two that are no pair are not taken', async () => {
      addApi()
      expect(() => gateway.tlsInbound.present({ certificate, key: other.key })).throw(/key values mismatch/)
      expect((await ask(gateway.tlsPort, '/', { tls: {} })).status).equal(200)
    })

    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      it(`a session is resumed by another thread that has the same keys, by ${version}`, async () => {
        const ticketKeys = Buffer.alloc(48, 'k')
        await restart({ tls: { ticketKeys } })
        const twin = await new TestGateway({ tls: { ticketKeys } }).start()
        const versions = { minVersion: version, maxVersion: version }
        const first = await connectTls(gateway.tlsPort, versions)
        const session =
          version === 'TLSv1.2'
            ? first.getSession()
            : await new Promise<Buffer>((resolve) => first.once('session', resolve))
        first.write('GET / HTTP/1.1\r\nHost: nobody\r\nConnection: close\r\n\r\n')
        first.resume()
        const again = await connectTls(twin.tlsPort, { ...versions, session })
        expect(again.isSessionReused()).equal(true)
        again.destroy()
        await twin.stop()
      })
    }
  })

  describe('certificates by server name', () => {
    const pairs = { one: newPair(), two: newPair() }
    const phases: Phases = {
      certificate: (_name, { pair }) => (pair === undefined ? undefined : pairs[pair as keyof typeof pairs]),
    }
    const showing = definePlugin({ name: 'showing', priority: 3000, phases })

    beforeEach(() => restart({ plugins: [showing] }))

    const shownTo = async (servername: string) => {
      const socket = await connectTls(gateway.tlsPort, { servername, rejectUnauthorized: false })
      const { raw } = socket.getPeerCertificate()
      socket.destroy()
      const all = { own: certificate, one: pairs.one.certificate, two: pairs.two.certificate }
      return Object.entries(all).find(([, pem]) => new X509Certificate(pem).raw.equals(raw))?.[0]
    }

    it('a plugin of the API of that host chooses, from the next handshake on', async () => {
      const api = addApi({ request_host: 'a.test' })
      const wild = addApi({ request_host: '*.wild.test', request_path: '/b.test' })
      gateway.addPlugin(wild, 'showing', { pair: 'two' })
      expect(await shownTo('a.test')).equal('own')
      const row = gateway.addPlugin(api, 'showing', { pair: 'one' })
      expect(await shownTo('A.test')).equal('one')
      expect(await shownTo('b.test')).equal('own')
      expect(await shownTo('wild.test')).equal('own')
      expect(await shownTo('x.Wild.test')).equal('two')
      expect(await shownTo('')).equal('own')
      gateway.catalog.put('plugins', { ...row, config: { pair: 'two' } })
      expect(await shownTo('a.test')).equal('two')
      gateway.catalog.put('plugins', { ...row, enabled: false })
      expect(await shownTo('a.test')).equal('own')
      gateway.catalog.put('plugins', row)
      gateway.catalog.remove('apis', ({ id }) => id === api.id)
      expect(await shownTo('a.test')).equal('own')
    })

    it('one that has none leaves it to the next', async () => {
      const next = definePlugin({ name: 'next', priority: 1, phases: { certificate: () => pairs.two } })
      await restart({ plugins: [showing, next] })
      const api = addApi({ request_host: 'a.test' })
      gateway.addPlugin(api, 'next')
      gateway.addPlugin(api, 'showing')
      expect(await shownTo('a.test')).equal('two')
    })

    it('a change while the lookup is under way is seen: nothing is shown that is gone', async () => {
      const api = addApi({ request_host: 'a.test' })
      const row = gateway.addPlugin(api, 'showing', { pair: 'one' })
      const asked = Promise.withResolvers<void>()
      const release = Promise.withResolvers<void>()
      gateway.catalog.onLookup = () => {
        asked.resolve()
        return release.promise
      }
      const shown = shownTo('a.test')
      await asked.promise
      gateway.catalog.remove('plugins', ({ id }) => id === row.id)
      release.resolve()
      expect(await shown).equal('own')
    })

    it('so is one while a plugin makes up its mind', async () => {
      const asked = Promise.withResolvers<void>()
      const release = Promise.withResolvers<void>()
      const slow = definePlugin({
        name: 'slow',
        phases: {
          async certificate() {
            asked.resolve()
            await release.promise
            return pairs.one
          },
        },
      })
      await restart({ plugins: [slow] })
      const api = addApi({ request_host: 'a.test' })
      const row = gateway.addPlugin(api, 'slow')
      const shown = shownTo('a.test')
      await asked.promise
      gateway.catalog.remove('plugins', ({ id }) => id === row.id)
      release.resolve()
      expect(await shown).equal('own')
    })

    it('what cannot be told is not taken for none: the handshake fails, and others do not', async () => {
      gateway.addPlugin(addApi({ request_host: 'a.test' }), 'showing', { pair: 'one' })
      const back = gateway.catalog.away()
      expect(await shownTo('a.test').catch((error) => error.code)).equal('ECONNRESET')
      expect(await shownTo('b.test')).equal('own')
      back()
      expect(await shownTo('a.test')).equal('one')
      expect(gateway.lines[0]).deep.include({ sentence: 'a TLS handshake failed' })
      expect(String(gateway.lines[0]?.fields.reason)).match(/unknown|datastore|told/i)
    })

    it('a pair that is none, or a plugin that throws, costs that handshake alone', async () => {
      const broken = definePlugin({
        name: 'broken',
        phases: {
          certificate: (name) => {
            if (name === 'a.test') throw new Error('boom')
            return { certificate: 'hello', key: 'hello' }
          },
        },
      })
      await restart({ plugins: [broken] })
      for (const request_host of ['a.test', 'b.test']) gateway.addPlugin(addApi({ request_host }), 'broken')
      for (const host of ['a.test', 'b.test']) {
        expect(await shownTo(host).catch((error) => error.code)).equal('ECONNRESET')
      }
      expect(await shownTo('c.test')).equal('own')
      expect(String(gateway.lines[0]?.fields.reason)).match(
        /the plugin broken failed in its phase certificate.*boom/,
      )
      await until(() => count('active') === 0)
      expect(open()).deep.equal([0, 0, 0, 0])
    })
  })

  describe('its end', () => {
    it('drain lets an open request finish', async () => {
      await restart({ graceMs: 50 })
      addApi()
      const arrived = Promise.withResolvers<void>()
      const answering = Promise.withResolvers<void>()
      upstream.answer = async (_request, response) => {
        arrived.resolve()
        await answering.promise
        response.end('finished')
      }
      const reply = ask(gateway.tlsPort, '/', { tls: {} })
      await arrived.promise
      const drained = gateway.tlsInbound.drain()
      answering.resolve()
      expect(await reply).include({ body: 'finished' })
      await drained
    })

    it('stop cuts what does not finish within its grace, be it a request or a handshake', async () => {
      await restart({ graceMs: 50 })
      addApi()
      const arrived = Promise.withResolvers<void>()
      upstream.answer = () => arrived.resolve()
      const reply = ask(gateway.tlsPort, '/', { tls: {} }).catch((error) => error.code)
      const shaking = await connect(gateway.tlsPort)
      shaking.on('error', () => undefined)
      await arrived.promise
      await gateway.tlsInbound.stop()
      expect(await reply).equal('ECONNRESET')
      await (shaking.closed || once(shaking.resume(), 'close'))
      expect(open()).deep.equal([0, 0, 0, 0])
    })
  })
})

function newPair(): KeyPair {
  return makeSelfSigned({ validFrom: 0, validTo: Date.now() + 1e9, serial: systemRandom.hex(16) })
}
