// Real sockets at both ends, a scripted catalog in the middle.
import http from 'node:http'
import { createServer } from 'node:net'
import { expect } from 'chai'
import type { Row } from '../../src/base/json.ts'
import { definePlugin, type LogRecord, type PluginRequest } from '../../src/plugins/plugin.ts'
import { Counters } from '../../src/proxy/counters.ts'
import { type Seen, Upstream } from '../../src/testing/upstream.ts'
import { TestGateway, type TestGatewayOptions } from '../support/gateway.ts'
import { until } from '../support/log.ts'
import { type Answered, type Asked, answeredTo, connect, exchange } from '../support/raw-http.ts'
import { inEachWay } from '../support/ways.ts'

inEachWay('proxy', (way) => {
  let upstream: Upstream
  let gateway: TestGateway

  beforeEach(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway({ lane: way.lane }).start()
  })

  afterEach(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  /** Another gateway in place of the usual one. */
  async function restart(options: TestGatewayOptions): Promise<void> {
    await gateway.stop()
    gateway = await new TestGateway({ lane: way.lane, ...options }).start()
  }

  /** An API for the host `test`, so that every path is its own; with the recorder. */
  function addApi(row: Row = {}): Row {
    const api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url, ...row })
    gateway.addPlugin(api, 'recorder')
    return api
  }

  const ask = (target: string, asked?: Asked) => way.ask(gateway, target, asked)
  const begin = (target: string, asked?: Asked) => way.begin(gateway, target, asked)
  const upload = (headers: string[] = []) =>
    begin('/', { method: 'POST', headers: ['Host', 'test', ...headers], isOpen: true })
  const seen = ({ body }: Answered) => JSON.parse(body) as Seen
  const request = (record: LogRecord) => record.request as Record<string, unknown>

  describe('routing and what the upstream sees', () => {
    it('an unknown host is 404 with what was tried and nothing of the proxy’s headers [contract 91]', async () => {
      const answered = await ask('/asdf?x=1', {
        headers: ['Host', 'a.com:80', 'X-Host-Override', 'b.com', 'X-Host-Override', 'c.com'],
      })
      expect(answered.status).equal(404)
      expect(answered.body).equal(
        '{"request_path":"/asdf","message":"API not found with these values","request_host":["a.com","b.com","c.com"]}\n',
      )
      expect(answered.headers['content-type']).equal('application/json; charset=utf-8')
      expect(Object.keys(answered.headers)).not.include.members(['via'])
      expect(Object.keys(answered.headers).filter((name) => /troop|forwarded/.test(name))).deep.equal([])
    })

    it('matches by Host, with a port and blanks around it [contract 94, 95, 97]', async () => {
      gateway.addApi({ request_host: 'mockbin.com', upstream_url: upstream.url })
      const reply = await ask('/get', { headers: ['Host', '  MockBin.com:8000 '] })
      expect(seen(reply).headers).include({ 'x-forwarded-host': 'MockBin.com' })
      expect(seen(reply).headers).not.have.property('x-forwarded-prefix')
    })

    it('matches by X-Host-Override when Host does not match [contract 96]', async () => {
      gateway.addApi({ request_host: 'over.com', upstream_url: upstream.url, preserve_host: true })
      const reply = await ask('/', {
        headers: ['Host', 'no.com', 'X-Host-Override', 'over.com'],
      })
      expect(seen(reply).headers).include({ host: 'over.com' })
    })

    it('matches wildcards at either end [contract 98]', async () => {
      gateway.addApi({ request_host: '*.wildcard.com', upstream_url: upstream.url })
      gateway.addApi({ request_host: 'wildcard.*', upstream_url: upstream.url })
      for (const host of ['a.wildcard.com', 'a.b.wildcard.com', 'wildcard.org', 'wildcard.co.uk']) {
        expect((await ask('/', { headers: ['Host', host] })).status, host).equal(200)
      }
    })

    it('matches by path, stripped or not, passing the status of the upstream through [contract 99, 100, 102]', async () => {
      gateway.addApi({ request_path: '/kept', upstream_url: upstream.url })
      gateway.addApi({ request_path: '/a/b', strip_request_path: true, upstream_url: upstream.url })
      const kept = seen(await ask('/kept/x', { headers: ['Host', 'no.com'] }))
      expect(kept.url).equal('/kept/x')
      expect(kept.headers).not.have.any.keys('x-forwarded-prefix', 'x-forwarded-host')
      const stripped = seen(await ask('/a/b/x?y', { headers: ['Host', 'no.com'] }))
      expect(stripped.url).equal('/x?y')
      expect(stripped.headers).include({ 'x-forwarded-prefix': '/a/b' })
      upstream.answer = (_request, response) => response.writeHead(418).end()
      expect((await ask('/kept')).status).equal(418)
    })

    it('the query string plays no part in matching, and / does not shadow others [contract 103, 114]', async () => {
      gateway.addApi({ request_path: '/', upstream_url: upstream.url })
      gateway.addApi({
        request_path: '/noroot',
        upstream_url: `${upstream.url}/noroot`,
        strip_request_path: true,
      })
      expect(seen(await ask('/other?/noroot')).url).equal('/other?/noroot')
      expect(seen(await ask('/noroot/x')).url).equal('/noroot/x')
    })

    it('path and query arrive byte for byte [contract 112, 113]', async () => {
      addApi()
      const odd = '/%2Fa%2f//../%zz;x?a|b={"c"}&&=&d=%2520+%20?'
      expect(seen(await ask(odd)).url).equal(odd)
    })

    it('preserve_host decides which Host arrives [contract 109]', async () => {
      gateway.addApi({ request_host: 'own.com', upstream_url: upstream.url })
      gateway.addApi({ request_host: 'kept.com', upstream_url: upstream.url, preserve_host: true })
      gateway.addApi({ request_path: '/kept', upstream_url: upstream.url, preserve_host: true })
      const hostFor = async (host: string, path = '/') =>
        seen(await ask(path, { headers: ['Host', host] })).headers.host
      expect(await hostFor('own.com')).equal(`127.0.0.1:${upstream.port}`)
      expect(await hostFor('kept.com:8000')).equal('kept.com')
      expect(await hostFor('by-path.com:8000', '/kept')).equal('by-path.com:8000')
    })

    it('an address and localhost work as upstream [contract 117, 118]', async () => {
      gateway.addApi({ request_host: 'ip.com', upstream_url: `http://127.0.0.1:${upstream.port}` })
      gateway.addApi({ request_host: 'name.com', upstream_url: `http://localhost:${upstream.port}` })
      for (const host of ['ip.com', 'name.com']) {
        expect((await ask('/', { headers: ['Host', host] })).status, host).equal(200)
      }
    })

    it('the client’s address comes from X-Forwarded-For for trusted peers only; names with _ survive [contract 116]', async () => {
      const headers = [
        'Host',
        'test',
        'X-Forwarded-For',
        '4.4.4.4, 1.1.1.1, 5.5.5.5',
        'name_with_underscores',
        'x',
      ]
      addApi()
      const untrusted = seen(await ask('/', { headers }))
      expect(untrusted.headers).include({ 'x-real-ip': '127.0.0.1', name_with_underscores: 'x' })
      await restart({ trustedIps: ['0.0.0.0/0'] })
      addApi()
      await ask('/', { headers })
      const record = await gateway.record()
      expect(record.client_ip).equal('4.4.4.4')
      expect(request(record).headers).include({ name_with_underscores: 'x' })
    })

    it('a body arrives whole, its length told or not, and a body without one is not made up', async () => {
      addApi()
      const counted = seen(await ask('/', { method: 'POST', body: 'a=1' }))
      expect(counted).include({ body: 'a=1', method: 'POST' })
      expect(counted.headers).include({ 'content-length': '3' }).not.have.property('transfer-encoding')
      for (const method of ['POST', 'GET'])
        expect(seen(await ask('/', { method, body: ['abc', 'de'] })).body, method).equal('abcde')
      const get = seen(await ask('/'))
      expect(get.headers).not.have.any.keys('content-length', 'transfer-encoding')
    })

    it('trailers pass in both directions, without what they may not carry', async () => {
      addApi()
      const answer = new Promise<Seen['trailers']>((resolve) => {
        upstream.answer = (request, response) => {
          request.resume().on('end', () => {
            resolve(request.trailers as Seen['trailers'])
            response.writeHead(200, { Trailer: 'X-Sum' })
            response.addTrailers({ 'X-Sum': '42' })
            response.end('body')
          })
        }
      })
      const { headers, trailers } = await ask('/', {
        method: 'POST',
        headers: ['Host', 'test', 'Trailer', 'X-In'],
        body: ['a'],
        trailers: ['X-In', '1', 'X-Consumer-ID', 'spoofed'],
      })
      expect({ ...(await answer) }).deep.equal({ 'x-in': '1' })
      expect(headers).include({ trailer: 'X-Sum' })
      expect(trailers).deep.equal({ 'x-sum': '42' })
    })
  })

  describe('responses', () => {
    it('proxied: the upstream’s Server, Via and both latencies [contract 106, 108]', async () => {
      addApi()
      const { headers } = await ask('/')
      expect(headers).include({ server: 'upstream/1', via: 'troop/1.2.3' })
      expect(headers['x-troop-upstream-latency']).match(/^\d+$/)
      expect(headers['x-troop-proxy-latency']).match(/^\d+$/)
    })

    it('answered by a plugin: our Server, no Via, no latencies [contract 107]', async () => {
      gateway.addPlugin(addApi(), 'key-auth', { key_names: ['apikey'], hide_credentials: false })
      const { status, headers } = await ask('/')
      expect(status).equal(401)
      expect(headers).include({ server: 'troop/1.2.3' })
      expect(headers).not.have.any.keys('via', 'x-troop-upstream-latency', 'x-troop-proxy-latency')
    })

    it('repeated headers, redirects and unusual bytes pass as they came, hop-by-hop ones do not', async () => {
      addApi()
      upstream.answer = (_request, response) => {
        const raw = [
          'Set-Cookie',
          'a=1',
          'Set-Cookie',
          'b=2',
          'Location',
          'http://elsewhere/',
          'X-Odd',
          'caf\xe9',
        ]
        response.writeHead(302, [...raw, 'Connection', 'X-Hop', 'X-Hop', '1', 'Content-Length', '0'])
        response.end()
      }
      const { status, headers } = await ask('/')
      expect(status).equal(302)
      expect(headers).deep.include({
        'set-cookie': ['a=1', 'b=2'],
        location: 'http://elsewhere/',
        'x-odd': 'caf\xe9',
      })
      expect(headers).not.have.property('x-hop')
    })

    it('HEAD, 204 and 304 have no body, and the connection goes on', async () => {
      addApi()
      upstream.answer = (request, response) => {
        const status = Number(request.url?.slice(1))
        response.writeHead(status, status === 200 ? { 'Content-Length': 5 } : {})
        response.end()
      }
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
      const head = await ask('/200', { method: 'HEAD', agent })
      expect(head.headers['content-length']).equal('5')
      for (const status of [204, 304]) expect((await ask(`/${status}`, { agent })).status).equal(status)
      expect(new Counters(gateway.counters).get('accepted')).equal(1)
      agent.destroy()
    })

    it('heads that come on the way to the answer pass, in their place and without hop-by-hop fields', async () => {
      addApi()
      upstream.answer = informative
      const { informed, body } = await ask('/')
      expect(informed.map(([status, headers]) => [status, { ...headers }])).deep.equal([
        [103, { link: '</a.css>; rel=preload, </b.js>; rel=preload' }],
        [104, { 'x-odd': 'caf\xe9' }],
      ])
      expect(body).equal('fine')
    })
  })

  describe('streaming', () => {
    it('a slow reader holds back the upstream: what is in between stays small', async () => {
      addApi()
      const total = 64 * 1024 * 1024
      let written = 0
      const stalled = new Promise<void>((resolve) => {
        upstream.answer = (_request, response) => {
          response.writeHead(200, { 'Content-Length': total })
          const chunk = Buffer.alloc(256 * 1024)
          const more = (): void => {
            while (written < total) {
              written += chunk.length
              if (!response.write(chunk)) {
                response.once('drain', more)
                break
              }
            }
            if (written >= total) response.end()
          }
          // Standing still is seen by what was written no longer growing.
          let before = -1
          const look = setInterval(() => {
            if (written === before) {
              clearInterval(look)
              resolve()
            }
            before = written
          }, 200)
          more()
        }
      })
      const { body } = await begin('/').answer
      await stalled
      expect(written).below(total / 2)
      let read = 0
      for await (const chunk of body) read += (chunk as Buffer).length
      expect(read).equal(total)
    })

    it('a slow upstream holds back the client in the same way', async () => {
      addApi()
      const resumed = Promise.withResolvers<http.IncomingMessage>()
      upstream.answer = (request, response) => {
        request.pause()
        resumed.resolve(request)
        request.on('end', () => response.end('done'))
      }
      const total = 64 * 1024 * 1024
      const { body, answer } = upload(['Content-Length', String(total)])
      let sent = 0
      const chunk = Buffer.alloc(256 * 1024)
      let drained = Promise.withResolvers<void>()
      body.on('drain', () => drained.resolve())
      const pump = async () => {
        while (sent < total) {
          drained = Promise.withResolvers()
          sent += chunk.length
          if (!body.write(chunk)) await drained.promise
        }
        body.end()
      }
      const pumped = pump()
      const arrived = await resumed.promise
      for (let before = -1; before !== sent; ) {
        before = sent
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
      expect(sent).below(total / 2)
      arrived.resume()
      await pumped
      const answered = await answer
      expect(answered.status).equal(200)
      answered.body.resume()
    })

    it('a chunk reaches the client before the next one is sent', async () => {
      addApi()
      const next = Promise.withResolvers<void>()
      upstream.answer = async (_request, response) => {
        response.write('first')
        await next.promise
        response.end('second')
      }
      const { body } = await begin('/').answer
      const chunks: string[] = []
      for await (const chunk of body) {
        chunks.push(String(chunk))
        next.resolve()
      }
      expect(chunks).deep.equal(['first', 'second'])
    })

    it('a head does not wait for its body, on the way there nor back', async () => {
      addApi()
      upstream.answer = (request, response) => {
        response.writeHead(200).flushHeaders()
        request.on('data', (chunk) => response.write(`heard ${chunk}`))
        request.on('end', () => response.end())
      }
      const { body, answer } = upload(['Transfer-Encoding', 'chunked'])
      const answered = await answer
      expect(answered.status).equal(200)
      body.end('you')
      expect(String(await answered.body.toArray())).equal('heard you')
    })

    it('a client that goes away before the answer takes the upstream request with it, and is logged as 499', async () => {
      addApi()
      const aborted = Promise.withResolvers<void>()
      const arrived = Promise.withResolvers<void>()
      upstream.answer = (request, response) => {
        arrived.resolve()
        response.on('close', () => aborted.resolve())
        request.resume()
      }
      const asked = begin('/')
      await arrived.promise
      asked.abandon()
      await aborted.promise
      expect((await gateway.record()).response).include({ status: 499 })
    })

    it('a client that goes away in the middle of its upload takes the upstream request with it', async () => {
      addApi()
      const aborted = Promise.withResolvers<void>()
      const arrived = Promise.withResolvers<void>()
      upstream.answer = (request) => {
        request.on('error', () => aborted.resolve())
        request.on('data', () => arrived.resolve())
      }
      const asked = upload(['Content-Length', '1000'])
      asked.body.write('some')
      await arrived.promise
      asked.abandon()
      await aborted.promise
    })

    it('an upstream that dies in the middle of its body never makes a complete one', async () => {
      addApi()
      for (const framing of [{ 'Content-Length': 100 }, {}]) {
        upstream.answer = (_request, response) => {
          response.writeHead(200, framing)
          response.write('some', () => response.socket?.destroy())
        }
        const failed = await ask('/').then(
          () => undefined,
          (error: NodeJS.ErrnoException) => error.code,
        )
        expect(failed).equal('ECONNRESET')
      }
    })

    it('an upload that is refused early still gets its answer, and the connection goes on', async () => {
      gateway.addPlugin(addApi(), 'key-auth', { key_names: ['apikey'], hide_credentials: false })
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
      const body = Buffer.alloc(5 * 1024 * 1024)
      for (let i = 0; i < 3; i++) expect((await ask('/', { method: 'POST', body, agent })).status).equal(401)
      expect(new Counters(gateway.counters).get('accepted')).equal(1)
      agent.destroy()
    })

    it('an upload that the upstream answers without reading it is heard out, and the connection goes on', async () => {
      addApi()
      upstream.answer = (request, response) => {
        request.once('data', () => {
          request.pause()
          response.writeHead(413, { 'Content-Length': 8 }).end('too much')
        })
      }
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
      const body = Buffer.alloc(32 * 1024 * 1024)
      for (let i = 0; i < 3; i++) {
        expect(await ask('/', { method: 'POST', body, agent })).include({
          status: 413,
          body: 'too much',
        })
      }
      expect(new Counters(gateway.counters).get('accepted')).equal(1)
      agent.destroy()
    })

    it('a client that expects 100 Continue is asked for its body only if somebody wants it', async () => {
      const api = addApi()
      const headers = ['Host', 'test', 'Expect', '100-continue']
      const asked = await ask('/', { method: 'POST', headers, body: 'ok' })
      expect(asked.informed.map(([status]) => status)).deep.equal([100])
      expect(seen(asked)).include({ body: 'ok' })
      expect(seen(asked).headers).not.have.property('expect')
      gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
      const refused = await ask('/', { method: 'POST', headers, body: 'ok' })
      expect([refused.status, refused.informed]).deep.equal([401, []])
    })
  })

  describe('upstream connections', () => {
    it('are kept and reused', async () => {
      addApi()
      for (let i = 0; i < 5; i++) await ask(`/${i}`)
      expect(upstream).include({ connections: 1, requests: 5 })
    })

    it('are closed by stop: idle ones at once, one in use when its request is done', async () => {
      addApi()
      const closed: Promise<void>[] = []
      const answering = Promise.withResolvers<void>()
      const arrived = Promise.withResolvers<void>()
      upstream.answer = async (request, response) => {
        closed.push(new Promise((resolve) => request.socket.once('close', () => resolve())))
        if (request.url === '/slow') {
          arrived.resolve()
          await answering.promise
        }
        response.end('fine')
      }
      const slow = ask('/slow')
      await arrived.promise
      await ask('/')
      gateway.outbound.stop()
      await closed[1]
      answering.resolve()
      expect(await slow).include({ status: 200, body: 'fine' })
      await closed[0]
    })

    it('one that the upstream closed while idle costs a repeatable request nothing', async () => {
      addApi()
      let kill = true
      upstream.answer = (request, response) => {
        // The second request on the connection meets its end: as if it had been closed just before.
        if (request.url === '/second' && kill) {
          kill = false
          request.socket.destroy()
        } else response.end('fine')
      }
      await ask('/first')
      expect(await ask('/second')).include({ status: 200, body: 'fine' })
      kill = true
      // What is not known to be harmless is not sent twice.
      expect((await ask('/second', { method: 'POST' })).status).equal(502)
    })

    it('a request is not repeated on a connection that never worked, nor once something came back', async () => {
      addApi()
      upstream.answer = (request) => request.socket.destroy()
      expect((await ask('/')).status).equal(502)
      expect(upstream.requests).equal(1)
      upstream.answer = (_request, response) => response.end('fine')
      await ask('/')
      upstream.answer = (request) => request.socket.end('HTTP/1.1 2')
      expect((await ask('/')).status).equal(502)
      expect(upstream.requests).equal(3)
    })
  })

  describe('failures', () => {
    const pages: [accept: string | undefined, type: string, body: (text: string) => string][] = [
      [undefined, 'text/plain', (text) => `${text}\n`],
      ['text/html', 'text/html', (text) => `<p>${text}.</p>`],
      ['application/json', 'application/json', (text) => `{"message":"${text}"}\n`],
      ['application/xml', 'application/xml', (text) => `<error><message>${text}</message></error>\n`],
    ]

    async function expectPages(status: number, text: string): Promise<void> {
      for (const [accept, type, body] of pages) {
        const reply = await ask('/', {
          headers: ['Host', 'test', ...(accept ? ['Accept', accept] : [])],
        })
        expect(reply.status).equal(status)
        expect(reply.headers)
          .include({ 'content-type': type, server: 'troop/1.2.3' })
          .not.have.property('via')
        expect(reply.body).include(body(text))
      }
      expect((await gateway.record(pages.length)).response).include({ status })
    }

    it('an upstream that refuses is 502, in four formats, and logged', async () => {
      addApi({ upstream_url: 'http://127.0.0.1:1' })
      await expectPages(502, 'An invalid response was received from the upstream server')
    })

    it('a name that does not resolve is 502', async () => {
      addApi({ upstream_url: 'http://nobody.invalid' })
      expect((await ask('/')).status).equal(502)
    })

    it('an answer that is not HTTP, or switches protocols unasked, is 502', async () => {
      let bytes = 'SSH-2.0-OpenSSH\r\n'
      const server = createServer((socket) =>
        socket.on('error', () => {}).once('data', () => socket.end(bytes)),
      )
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as { port: number }
      addApi({ upstream_url: `http://127.0.0.1:${port}` })
      expect((await ask('/')).status).equal(502)
      bytes = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n'
      expect((await ask('/')).status).equal(502)
      bytes = ''
      expect((await ask('/')).status).equal(502)
      server.close()
    })

    it('an upstream that stays silent is 504, in four formats, and its connection is closed', async () => {
      await restart({ outbound: { timeouts: { readMs: 100 } } })
      addApi()
      const closed: Promise<void>[] = []
      upstream.answer = (request) => {
        closed.push(new Promise((resolve) => request.socket.once('close', () => resolve())))
      }
      await expectPages(504, 'The upstream server is timing out')
      await Promise.all(closed)
    })

    it('an upstream that stops in the middle is cut off, and a slow reader is not its fault', async () => {
      await restart({ outbound: { timeouts: { readMs: 100 } } })
      addApi()
      upstream.answer = (_request, response) => {
        response.write('some')
      }
      const failed = await ask('/').catch((error: NodeJS.ErrnoException) => error.code)
      expect(failed).equal('ECONNRESET')
      const total = 16 * 1024 * 1024
      upstream.answer = (_request, response) => response.end(Buffer.alloc(total))
      const { body } = await begin('/').answer
      await new Promise((resolve) => setTimeout(resolve, 400))
      let read = 0
      for await (const chunk of body) read += (chunk as Buffer).length
      expect(read).equal(total)
    })

    it('a client that waits for a connection longer than it may is answered 503', async () => {
      await restart({ outbound: { socketsMax: 1, timeouts: { connectMs: 100 } } })
      addApi()
      const busy = Promise.withResolvers<void>()
      upstream.answer = (request, response) => {
        if (request.url === '/slow') busy.resolve()
        else response.end()
      }
      const slow = begin('/slow')
      await busy.promise
      expect(await ask('/')).include({
        status: 503,
        body: 'The upstream server is currently unavailable\n',
      })
      slow.abandon()
    })

    it('5xx of the upstream pass through unchanged', async () => {
      addApi()
      upstream.answer = (_request, response) => response.writeHead(503, { 'X-Own': '1' }).end('own page')
      expect(await ask('/')).include({ status: 503, body: 'own page' })
    })
  })

  describe('plugins', () => {
    const stamping = definePlugin({
      name: 'stamping',
      priority: 2000,
      phases: { headers: (response) => response.headers.set('X-Stamped', 'yes') },
    })

    it('headers and log run for every request: refused, failed, answered by the gateway', async () => {
      await restart({ plugins: [stamping] })
      const api = addApi({ upstream_url: 'http://127.0.0.1:1' })
      gateway.addPlugin(api, 'stamping')
      const failed = await ask('/')
      expect(failed.headers).include({ 'x-stamped': 'yes' })
      gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
      const refused = await ask('/')
      expect(refused.headers).include({ 'x-stamped': 'yes' })
      const back = gateway.catalog.away()
      expect((await ask('/')).status).equal(503)
      back()
      const statuses = [await gateway.record(1), await gateway.record(2)].map(({ response }) => response)
      expect(statuses.map((response) => (response as Row).status)).deep.equal([502, 401])
    })

    it('nothing that a plugin sets can break out of a header, a path or the status line', async () => {
      const wayOf = ({ headers }: PluginRequest) => headers.get('x-way')
      const evil = definePlugin({
        name: 'evil',
        phases: {
          access(request) {
            if (wayOf(request) === 'header') request.headers.set('X-A', 'a\r\nX-B: b')
            if (wayOf(request) === 'path') request.path = '/ HTTP/1.1\r\nX-B: b\r\n\r\n'
            if (wayOf(request) === 'host') request.host = 'h\r\nX-B: b'
            return undefined
          },
          headers({ headers }, _config, request) {
            if (wayOf(request) === 'response') headers.set('X-A', 'a\r\nX-B: b')
          },
        },
      })
      await restart({ plugins: [evil] })
      gateway.addPlugin(addApi(), 'evil')
      for (const way of ['header', 'path', 'host', 'response']) {
        const { status, headers } = await ask('/', { headers: ['Host', 'test', 'X-Way', way] })
        expect(status, way).equal(500)
        expect(headers).not.have.property('x-b')
      }
      expect((await ask('/')).status).equal(200)
    })

    it('a plugin that fails to log disturbs neither the request nor the others', async () => {
      const log = () => {
        throw new Error('boom')
      }
      const boom = definePlugin({ name: 'boom', priority: 10, phases: { log } })
      await restart({ plugins: [boom] })
      gateway.addPlugin(addApi(), 'boom')
      expect((await ask('/')).status).equal(200)
      await gateway.record()
      expect(gateway.lines.map(({ sentence }) => sentence)).include('a plugin failed to log')
    })

    it('changes count for the very next request: plugin, upstream, deletion [contract 81, 84, 87-89]', async () => {
      const api = addApi()
      const row = gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
      const status = async () => (await ask('/')).status
      expect(await status()).equal(401)
      gateway.catalog.put('plugins', { ...row, enabled: false })
      expect(await status()).equal(200)
      gateway.catalog.put('plugins', row)
      expect(await status()).equal(401)
      gateway.catalog.remove('plugins', ({ id }) => id === row.id)
      expect(await status()).equal(200)
      gateway.catalog.put('apis', { ...api, upstream_url: `${upstream.url}/new` })
      expect(seen(await ask('/x')).url).equal('/new/x')
      gateway.addApi({ request_host: 'second', upstream_url: upstream.url })
      expect((await ask('/', { headers: ['Host', 'second'] })).status).equal(200)
      gateway.catalog.remove('apis', ({ id }) => id === api.id)
      expect(await status()).equal(404)
    })

    it('stop waits for the requests that the gateway took, then closes plugins', async () => {
      let stopped = false
      const told: boolean[] = []
      const late = definePlugin({
        name: 'late',
        open: () => ({
          log: () => void told.push(stopped),
          stop: () => {
            stopped = true
          },
        }),
      })
      await restart({ plugins: [late] })
      gateway.addPlugin(addApi(), 'late')
      const answering = Promise.withResolvers<void>()
      const arrived = Promise.withResolvers<void>()
      upstream.answer = async (_request, response) => {
        arrived.resolve()
        await answering.promise
        response.end()
      }
      const reply = ask('/')
      await arrived.promise
      const done = gateway.gateway.stop()
      answering.resolve()
      await Promise.all([reply, done])
      expect({ told, stopped }).deep.equal({ told: [false], stopped: true })
    })

    it('API and key-auth deleted while a request waits for its plugins: 404, and nothing reaches the upstream', async () => {
      const api = addApi()
      gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
      const release = Promise.withResolvers<void>()
      const waiting = Promise.withResolvers<void>()
      gateway.catalog.onLookup = () => {
        waiting.resolve()
        return release.promise
      }
      const reply = ask('/')
      await waiting.promise
      gateway.catalog.remove('plugins', () => true)
      gateway.catalog.remove('apis', () => true)
      release.resolve()
      expect((await reply).status).equal(404)
      expect(upstream.requests).equal(0)
    })
  })

  describe('log record', () => {
    it('tells request, response, latencies, API and client as the contract says [contract 455, 456]', async () => {
      const api = addApi()
      upstream.answer = (request, response) => {
        request
          .resume()
          .on('end', () => response.writeHead(201, { 'X-Up': '1', 'Content-Length': 4 }).end('body'))
      }
      const before = Date.now()
      await ask('/get?x=1&y=%20b&y=c&z', {
        method: 'POST',
        body: 'hello',
        headers: ['Host', 'test', 'X-Mine', 'm', 'X-Name', 'küm'],
      })
      const record = await gateway.record()
      const { headers, ...told } = request(record)
      expect(told).deep.equal({
        uri: '/get?x=1&y=%20b&y=c&z',
        request_uri: `${way.origin(gateway)}/get?x=1&y=%20b&y=c&z`,
        querystring: Object.assign(Object.create(null), { x: '1', y: [' b', 'c'], z: true }),
        method: 'POST',
        size: told.size,
      })
      expect(headers).include({ host: 'test', 'x-mine': 'm', 'content-length': '5' })
      expect(headers).include({ 'x-name': 'küm' })
      expect(Number(told.size)).within('POST /get'.length + 5, 300)
      expect(record.response).deep.include({ status: 201 })
      expect((record.response as Row).headers).include({ 'x-up': '1', via: 'troop/1.2.3' })
      expect(Number((record.response as Row).size)).above(4)
      const {
        kong,
        proxy,
        request: whole,
      } = record.latencies as { kong: number; proxy: number; request: number }
      for (const value of [kong, proxy, whole]) expect(value).satisfy(Number.isInteger)
      expect(whole).least(kong + proxy)
      expect(record.api).deep.include({ id: api.id, upstream_url: upstream.url })
      expect(record.api).not.have.property('request_path')
      expect(record.client_ip).equal('127.0.0.1')
      expect(record.started_at).within(before, Date.now())
      expect(record).not.have.property('authenticated_entity')
    })

    it('waiting for the upstream is its share, −1 when it was not asked [contract 456]', async () => {
      const api = addApi()
      upstream.answer = (_request, response) => setTimeout(() => response.end(), 150)
      await ask('/')
      expect(((await gateway.record(1)).latencies as Row).proxy).within(140, 3000)
      gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
      await ask('/')
      expect(((await gateway.record(2)).latencies as Row).proxy).equal(-1)
    })

    it('a hidden credential is in no part of the record, of the others only ids are', async () => {
      const api = addApi()
      const row = gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: true })
      const bob = gateway.addConsumer('bob')
      const key = gateway.addKey(bob, 'hush')
      await ask('/?apikey=hush&x=1')
      await ask('/', { headers: ['Host', 'test', 'apikey', 'hush'] })
      // Not known whether it is right: hidden all the same.
      gateway.catalog.onLookup = (key) => {
        if (key.startsWith('keyauth')) throw Object.assign(new Error(), { code: 'unknown' })
      }
      await ask('/?apikey=hush')
      for (const n of [1, 2, 3]) expect(JSON.stringify(await gateway.record(n))).not.include('hush')
      expect((await gateway.record(1)).authenticated_entity).deep.equal({ id: key.id, consumer_id: bob.id })
      expect(row.name).equal('key-auth')
    })
  })

  describe('the listener', () => {
    it('counts connections and requests', async () => {
      addApi()
      const counters = new Counters(gateway.counters)
      const all = () => ['active', 'reading', 'writing', 'waiting', 'accepted', 'requests', 'routed'] as const
      const now = () => all().map((name) => counters.get(name))
      const answering = Promise.withResolvers<void>()
      const arrived = Promise.withResolvers<void>()
      upstream.answer = async (_request, response) => {
        arrived.resolve()
        await answering.promise
        response.end()
      }
      const agent = new http.Agent({ keepAlive: true })
      const reply = ask('/', { agent })
      await arrived.promise
      expect(now()).deep.equal([1, 0, 1, 0, 1, 1, 1])
      answering.resolve()
      await reply
      await ask('/', { headers: ['Host', 'nobody.com'], agent })
      expect(now().slice(4)).deep.equal([1, 2, 1])
      agent.destroy()
      await way.inbound(gateway).stop()
      expect(now()).deep.equal([0, 0, 0, 0, 1, 2, 1])
    })

    it('counts answers by status, its own too, and measures what they took', async () => {
      addApi()
      const counters = new Counters(gateway.counters)
      const taken = () =>
        String((['proxy', 'upstream', 'request'] as const).map((name) => counters.latency(name).count))
      upstream.answer = (_request, response) => response.writeHead(201).end()
      await ask('/')
      await ask('/', { headers: ['Host', 'nobody.com'] })
      await until(() => taken() === '1,1,2')
      upstream.answer = (request) => request.socket.destroy()
      await ask('/')
      await until(() => taken() === '2,1,3')
      expect(counters.failures.broken).equal(1)
      expect([...counters.answers]).deep.equal([
        [201, 1],
        [404, 1],
        [502, 1],
      ])
      expect([counters.get('requests'), taken()]).deep.equal([3, '2,1,3'])
    })

    it('drain waits for a reply whose head had gone out before', async () => {
      addApi()
      const answering = Promise.withResolvers<void>()
      upstream.answer = async (_request, response) => {
        response.write('begun ')
        await answering.promise
        response.end('finished')
      }
      const agent = new http.Agent({ keepAlive: true })
      const { body } = await begin('/', { agent }).answer
      const drained = way.inbound(gateway).drain()
      answering.resolve()
      let told = ''
      for await (const chunk of body) told += String(chunk)
      expect(told).equal('begun finished')
      await drained
      agent.destroy()
    })

    it('stop cuts what does not finish within its grace', async () => {
      await restart({ graceMs: 50 })
      addApi()
      const arrived = Promise.withResolvers<void>()
      upstream.answer = () => arrived.resolve()
      const reply = ask('/').catch((error: NodeJS.ErrnoException) => error.code)
      await arrived.promise
      await way.inbound(gateway).stop()
      expect(await reply).equal('ECONNRESET')
    })

    it('an address in use is an error that names it', async () => {
      const other = new TestGateway({ lane: way.lane })
      const { port } = new URL(way.origin(gateway))
      const failed = await way
        .inbound(other)
        .start({ host: '127.0.0.1', port: Number(port) })
        .catch((error: Error) => error)
      expect(failed).include({ code: 'listen-failed', message: `cannot listen on 127.0.0.1:${port}` })
    })

    it('a client that stands still in its upload is 408, one that moves is not', async () => {
      await restart({ inboundTimeoutMs: 200 })
      addApi()
      const still = upload(['Content-Length', '10'])
      still.body.write('abc')
      const refused = await answeredTo(still)
      expect(refused).include({ status: 408 })
      expect(refused.body).include('The body came too slowly')
      const moving = upload(['Content-Length', '10'])
      for (let i = 0; i < 10; i++) {
        await new Promise((resolve) => setTimeout(resolve, 60))
        moving.body.write('x')
      }
      moving.body.end()
      expect(seen(await answeredTo(moving)).body).equal('xxxxxxxxxx')
    })
  })

  if (way.isHttp2) return

  describe('in the words of HTTP/1.1 alone', () => {
    it('a request without any host gets an empty list in its 404', async () => {
      const reply = await exchange(gateway.port, 'GET /x HTTP/1.0\r\n\r\n')
      expect(reply)
        .match(/^HTTP\/1\.1 404 /)
        .match(/"request_host":\[\]/)
    })

    it('the reason phrase is the upstream’s [contract 102]', async () => {
      addApi()
      upstream.answer = (_request, response) => response.writeHead(418, 'Short And Stout').end()
      expect(await ask('/')).include({ status: 418, reason: 'Short And Stout' })
    })

    it('a POST that says nothing of a body has none, and says so upstream', async () => {
      addApi()
      const bare = 'POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n'
      expect(await exchange(gateway.port, bare))
        .include('"content-length":"0"')
        .not.include('"transfer-encoding"')
    })

    it('trailers come as lines behind the last chunk', async () => {
      addApi()
      upstream.answer = (_request, response) => {
        response.writeHead(200, { Trailer: 'X-Sum' }).addTrailers({ 'X-Sum': '42' })
        response.end('body')
      }
      const reply = await exchange(gateway.port, 'GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n')
      expect(reply)
        .match(/Trailer: X-Sum/i)
        .match(/0\r\nX-Sum: 42\r\n\r\n$/)
    })

    it('heads that come on the way have phrases, and a client of HTTP/1.0 gets none', async () => {
      addApi()
      upstream.answer = informative
      const reply = await exchange(gateway.port, 'GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n')
      const early = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload, </b.js>; rel=preload\r\n\r\n'
      const odd = 'HTTP/1.1 104 Unknown\r\nX-Odd: caf\xe9\r\n\r\n'
      expect(reply.startsWith(`${early}${odd}HTTP/1.1 200 OK\r\n`)).equal(true)
      expect(reply).match(/\r\n\r\nfine$/)
      expect(reply).not.match(/100 Continue|X-Hop/)
      const old = await exchange(gateway.port, 'GET / HTTP/1.0\r\nHost: test\r\n\r\n')
      expect(old).match(/^HTTP\/1\.1 200 /)
    })

    it('an HTTP/1.0 client gets a body without chunks, ended by the connection', async () => {
      addApi()
      upstream.answer = (_request, response) => {
        response.write('one ')
        response.end('two')
      }
      const reply = await exchange(gateway.port, 'GET / HTTP/1.0\r\nHost: test\r\n\r\n')
      expect(reply)
        .match(/\r\n\r\none two$/)
        .not.match(/chunked/i)
    })

    it('pipelined requests are answered in order, and go upstream one after the other', async () => {
      addApi()
      const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: test\r\n${more}\r\n`
      const reply = await exchange(gateway.port, get('/1') + get('/2') + get('/3', 'Connection: close\r\n'))
      expect([...reply.matchAll(/"url":"(\/\d)"/g)].map(([, url]) => url)).deep.equal(['/1', '/2', '/3'])
      // RFC 9112, 9.3.2: what is not safe may not overtake.
      const arrived: string[] = []
      upstream.answer = ({ url }, response) => {
        arrived.push(url as string)
        if (url === '/1') setImmediate(() => response.end(String(arrived)))
        else response.end()
      }
      expect(await exchange(gateway.port, get('/1') + get('/2', 'Connection: close\r\n'))).match(/\n\/1HTTP/)
    })

    it('a refusal that is the last of its connection is not lost on a client that sends all before it reads', async () => {
      gateway.addPlugin(addApi(), 'key-auth', { key_names: ['apikey'], hide_credentials: false })
      const socket = await connect(gateway.port)
      const failed = Promise.withResolvers<never>()
      socket.on('error', failed.reject)
      socket.pause()
      socket.write('POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 12000000\r\n\r\n')
      // More than the system keeps for a connection: a gateway that had closed it would have to refuse some of this.
      const sent = new Promise<void>((resolve) => socket.write(Buffer.alloc(12_000_000), () => resolve()))
      await Promise.race([sent, failed.promise])
      let reply = ''
      for await (const chunk of socket) reply += String(chunk)
      expect(reply).match(/^HTTP\/1\.1 401 .*\}\n$/s)
    })

    it('a client that expected 100 Continue, and was refused, has its connection closed', async () => {
      const api = addApi()
      const head = 'POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\nExpect: 100-continue\r\n'
      const socket = await connect(gateway.port)
      socket.write(`${head}Connection: close\r\n\r\n`)
      const first = await new Promise<Buffer>((resolve) => socket.once('data', resolve))
      expect(String(first)).match(/^HTTP\/1\.1 100 Continue\r\n/)
      socket.write('ok')
      let rest = ''
      for await (const chunk of socket) rest += String(chunk)
      expect(rest).include('"body":"ok"').not.include('"expect"')
      gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
      // The connection is closed by the gateway: what would follow could be body or request.
      expect(await exchange(gateway.port, `${head}\r\n`))
        .match(/^HTTP\/1\.1 401 /)
        .match(/Connection: close/)
    })

    it('what can’t be read as a request is 400, a head without end 431, another coding 501', async () => {
      addApi()
      expect(await exchange(gateway.port, 'NOT HTTP\r\n\r\n')).match(
        /^HTTP\/1\.1 400 .*\r\nServer: troop\/1\.2\.3/,
      )
      const long = `GET / HTTP/1.1\r\nHost: test\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`
      expect(await exchange(gateway.port, long)).match(/^HTTP\/1\.1 431 /)
      const coded = 'POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'
      expect(await exchange(gateway.port, coded)).match(/^HTTP\/1\.1 501 /)
      expect(upstream.requests).equal(0)
    })

    it('two framings at once, a bare CR, a folded header: refused, and nothing reaches the upstream', async () => {
      addApi()
      const post = (headers: string, body: string) =>
        `POST / HTTP/1.1\r\nHost: test\r\n${headers}\r\n\r\n${body}`
      for (const bytes of [
        post('Content-Length: 4\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
        post('Content-Length: 4\r\nContent-Length: 5', 'abcde'),
        post('Transfer-Encoding : chunked', '0\r\n\r\n'),
        post('X: a\rEvil: b\r\nContent-Length: 0', ''),
        post('Content-Length: +1', 'a'),
      ]) {
        expect(await exchange(gateway.port, bytes), JSON.stringify(bytes)).match(/^HTTP\/1\.1 400 /)
      }
      expect(upstream.requests).equal(0)
    })

    it('what never became a request is counted among the answers, not among the requests', async () => {
      const counters = new Counters(gateway.counters)
      await exchange(gateway.port, 'nonsense\r\n\r\n')
      expect([...counters.answers]).deep.equal([[400, 1]])
      expect([counters.get('requests'), counters.latency('request').count]).deep.equal([0, 0])
    })

    it('drain refuses new connections, finishes open requests and tells their clients to close', async () => {
      addApi()
      const answering = Promise.withResolvers<void>()
      const arrived = Promise.withResolvers<void>()
      upstream.answer = async (_request, response) => {
        arrived.resolve()
        await answering.promise
        response.end('finished')
      }
      const idle = await connect(gateway.port)
      const agent = new http.Agent({ keepAlive: true })
      const reply = ask('/', { agent })
      await arrived.promise
      const drained = gateway.inbound.drain()
      await new Promise<void>((resolve) => idle.once('close', () => resolve()).resume())
      const refused = await connect(gateway.port).catch((error: NodeJS.ErrnoException) => error.code)
      expect(refused).equal('ECONNREFUSED')
      answering.resolve()
      expect(await reply).include({ status: 200, body: 'finished' })
      expect((await reply).headers).include({ connection: 'close' })
      await drained
      agent.destroy()
    })

    it('a client that has its answer and still goes on with the upload that it was for is cut in the end', async () => {
      await restart({ inboundTimeoutMs: 200 })
      const socket = await connect(gateway.port)
      socket.on('error', () => {})
      socket.write('POST / HTTP/1.1\r\nHost: nobody\r\nContent-Length: 1000000\r\n\r\n')
      let reply = ''
      socket.on('data', (chunk) => {
        reply += String(chunk)
      })
      const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
      const trickle = setInterval(() => socket.write('x'), 20)
      await closed
      clearInterval(trickle)
      expect(reply).match(/^HTTP\/1\.1 404 /)
    })

    it('a head that does not come to its end is 408', async () => {
      await restart({ inboundTimeoutMs: 200 })
      expect(await exchange(gateway.port, 'GET / HTTP/1.1\r\nHost: te')).match(/^HTTP\/1\.1 408 /)
    })
  })
})

/** An answer with three heads on the way to it. */
const informative: Upstream['answer'] = (request, response) => {
  request.socket.write('HTTP/1.1 100 Continue\r\n\r\n')
  response.writeEarlyHints({ link: ['</a.css>; rel=preload', '</b.js>; rel=preload'] })
  request.socket.write(
    'HTTP/1.1 104 Odd\r\nX-Odd: caf\xe9\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n',
    'latin1',
  )
  response.end('fine')
}
