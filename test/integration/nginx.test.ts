// nginx on either side of the gateway: as its upstream, and as its client.
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import http from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import { expect } from 'chai'
import { Agent, type Dispatcher } from 'undici'
import { WebSocket, WebSocketServer } from 'ws'
import type { Row } from '../../src/base/json.ts'
import { Counters } from '../../src/proxy/counters.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import { until } from '../support/log.ts'
import { Nginx } from '../support/nginx.ts'
import { requireProgram } from '../support/program.ts'
import { exchange } from '../support/raw-http.ts'

const words = 'a text of some length, that is worth to be compressed. '.repeat(2000)

describe('nginx as upstream', () => {
  let nginx: Nginx
  let gateway: TestGateway
  let client: Agent

  before(async function () {
    const program = requireProgram(this, 'nginx')
    nginx = await Nginx.start(
      program,
      ({ port, files }) => `
        large_client_header_buffers 8 32k;
        gzip_types text/plain;
        add_header X-Requests $connection_requests;
        server {
          listen 127.0.0.1:${port};
          root ${files};
          default_type text/plain;
          location /packed { gzip on; }
          location /ended { gzip on; chunked_transfer_encoding off; }
          location /closing { keepalive_timeout 0; }
          location /summed { gzip on; add_trailer X-Sum 42; }
          location /none { return 204; }
          location /seen { return 200 "$request_length $http_x_long"; }
          location /long {
            set $long ${'y'.repeat(4000)};
            add_header X-Long $long$long$long$long$long$long$long$long$long$long;
            return 200 fine;
          }
          location /put { dav_methods PUT DELETE; create_full_put_path on; client_max_body_size 20m; }
          location /small { dav_methods PUT; client_max_body_size 1k; }
        }`,
    )
    const { files } = nginx.place
    for (const name of ['plain', 'packed', 'ended', 'closing', 'summed']) {
      await mkdir(join(files, name))
      await writeFile(join(files, name, 'words.txt'), words)
    }
  })

  after(() => nginx?.stop())

  beforeEach(async () => {
    gateway = await new TestGateway().start()
    gateway.addPlugin(gateway.addApi({ request_path: '/', upstream_url: nginx.url }), 'recorder')
    client = new Agent({ maxHeaderSize: 65_536 })
  })

  afterEach(async () => {
    await client.close()
    await gateway.stop()
  })

  function request(path: string, options: Partial<Dispatcher.RequestOptions> = {}) {
    const origin = `http://127.0.0.1:${gateway.port}`
    return client.request({ origin, path, method: 'GET', ...options })
  }

  async function bodyOf(path: string, headers: Record<string, string> = {}): Promise<string> {
    return (await request(path, { headers })).body.text()
  }

  const closed = 'Connection: close\r\n\r\n'

  it('a connection that it keeps is used again, one that it closes is not', async () => {
    const counts = async (path: string) => {
      const { headers, body } = await request(path)
      expect(await body.text()).equal(words)
      return headers['x-requests']
    }
    expect([await counts('/plain/words.txt'), await counts('/plain/words.txt')]).deep.equal(['1', '2'])
    expect([await counts('/closing/words.txt'), await counts('/closing/words.txt')]).deep.equal(['3', '1'])
    expect(await counts('/plain/words.txt')).equal('1')
  })

  for (const [path, framing] of Object.entries({
    '/plain/words.txt': 'counted',
    '/packed/words.txt': 'in chunks',
    '/ended/words.txt': 'ended by the connection',
  })) {
    it(`a reply ${framing} reaches clients of HTTP/1.1 and HTTP/1.0, compressed or not`, async () => {
      expect(await bodyOf(path)).equal(words)
      const old = await exchange(gateway.port, `GET ${path} HTTP/1.0\r\nHost: test\r\n\r\n`)
      expect(old).match(/^HTTP\/1\.1 200 OK\r\n/)
      expect(old).not.match(/transfer-encoding/i)
      expect(old.split('\r\n\r\n')[1]).equal(words)
      if (framing === 'counted') return
      const { headers, body } = await request(path, { headers: { 'accept-encoding': 'gzip' } })
      expect(headers).include({ 'content-encoding': 'gzip', 'transfer-encoding': 'chunked' })
      expect(gunzipSync(await body.bytes()).toString()).equal(words)
      const packed = await exchange(
        gateway.port,
        `GET ${path} HTTP/1.0\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n`,
      )
      const [head = '', bytes = ''] = splitHead(packed)
      expect(head)
        .match(/\r\nContent-Encoding: gzip/)
        .not.match(/transfer-encoding/i)
      expect(gunzipSync(Buffer.from(bytes, 'latin1')).toString()).equal(words)
    })
  }

  it('trailers pass', async () => {
    const { body, trailers } = await request('/summed/words.txt', { headers: { 'accept-encoding': 'gzip' } })
    expect(gunzipSync(await body.bytes()).toString()).equal(words)
    expect(trailers).deep.equal({ 'x-sum': '42' })
  })

  it('heads of tens of kB pass, of requests and of replies', async () => {
    const long = 'x'.repeat(14_000)
    const [length, value] = (await bodyOf('/seen', { 'x-long': long, 'x-longer': long })).split(' ')
    expect(value).equal(long)
    expect(Number(length)).above(28_000)
    const { headers, body } = await request('/long')
    expect(await body.text()).equal('fine')
    expect(headers['x-long']).equal('y'.repeat(40_000))
  })

  it('HEAD, 204 and 304 have no body, and their connections go on', async () => {
    const head = await request('/plain/words.txt', { method: 'HEAD' })
    expect(head.headers).include({ 'content-length': String(words.length) })
    expect(await head.body.text()).equal('')
    const none = await request('/none')
    expect([none.statusCode, await none.body.text()]).deep.equal([204, ''])
    const same = await request('/plain/words.txt', {
      headers: { 'if-none-match': String(head.headers.etag) },
    })
    expect([same.statusCode, same.headers.etag]).deep.equal([304, head.headers.etag])
    expect(await same.body.text()).equal('')
    expect((await request('/none')).headers['x-requests']).equal('4')
    // It tells no length where GET would be answered in chunks.
    const packed = await request('/packed/words.txt', {
      method: 'HEAD',
      headers: { 'accept-encoding': 'gzip' },
    })
    expect(packed.headers).include({ 'content-encoding': 'gzip' }).not.keys('content-length')
    expect(await packed.body.text()).equal('')
  })

  it('ranges are parts of the whole, several at once too, and one out of bounds is 416', async () => {
    const part = async (range: string) => {
      const { statusCode, headers, body } = await request('/plain/words.txt', { headers: { range } })
      return { status: statusCode, headers, text: await body.text() }
    }
    const one = await part('bytes=10-19')
    expect(one).include({ status: 206, text: words.slice(10, 20) })
    expect(one.headers).include({ 'content-range': `bytes 10-19/${words.length}`, 'content-length': '10' })
    const several = await part('bytes=0-3,-5')
    expect(several.status).equal(206)
    expect(several.headers['content-type']).match(/^multipart\/byteranges; boundary=/)
    expect(several.text)
      .include(`\r\n\r\n${words.slice(0, 4)}\r\n`)
      .include(`\r\n\r\n${words.slice(-5)}\r\n`)
    expect((await part(`bytes=${words.length}-`)).status).equal(416)
  })

  it('bodies arrive whole, counted and in chunks, also when the client waits to be asked for it', async () => {
    const sent = Buffer.alloc(5_000_000, words)
    const chunks = Array.from({ length: 50 }, (_, i) => sent.subarray(i * 100_000, (i + 1) * 100_000))
    const file = join(nginx.place.files, 'put', 'a', 'body')
    const bodies = [
      { body: sent },
      {
        body: (async function* () {
          yield* chunks
        })(),
      },
    ]
    for (const [i, { body }] of bodies.entries()) {
      const put = await request('/put/a/body', { method: 'PUT', body: body as Buffer })
      expect([put.statusCode, await put.body.text()]).deep.equal([i === 0 ? 201 : 204, ''])
      expect(sent.equals(await readFile(file))).equal(true)
    }
    const asking = http.request(`http://127.0.0.1:${gateway.port}/put/a/body`, {
      method: 'PUT',
      agent: false,
      headers: { expect: '100-continue', 'content-length': 12 },
    })
    asking.flushHeaders()
    await once(asking, 'continue')
    asking.end('asked for it')
    const [answered] = (await once(asking, 'response')) as [http.IncomingMessage]
    expect([answered.statusCode, await text(answered)]).deep.equal([204, ''])
    expect(await readFile(file, 'utf8')).equal('asked for it')
    const gone = await request('/put/a/body', { method: 'DELETE' })
    expect([gone.statusCode, await gone.body.text()]).deep.equal([204, ''])
  })

  it('an upload that it refuses before it is complete gets its answer', async () => {
    const { statusCode, body } = await request('/small/x', { method: 'PUT', body: Buffer.alloc(5_000_000) })
    expect(statusCode).equal(413)
    expect(await body.text()).match(/413 Request Entity Too Large[\s\S]*<\/html>\r\n$/)
    expect((await gateway.record()).response).include({ status: 413 })
  })

  it('requests by the hundred come back each with its own', async () => {
    const all = Array.from({ length: 300 }, async (_, i) => {
      expect((await bodyOf('/seen', { 'x-long': String(i) })).split(' ')[1]).equal(String(i))
    })
    await Promise.all(all)
    expect(await exchange(gateway.port, `GET /none HTTP/1.1\r\nHost: test\r\n${closed}`)).match(/ 204 /)
  })
})

describe('nginx as client', () => {
  let upstream: Upstream
  let nginx: Nginx
  let gateway: TestGateway
  let api: Row

  beforeEach(async function () {
    const program = requireProgram(this, 'nginx')
    upstream = await new Upstream().start()
    gateway = await new TestGateway({ trustedIps: ['127.0.0.1'] }).start()
    api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
    nginx = await Nginx.start(
      program,
      ({ port }) => `
        upstream troop { server 127.0.0.1:${gateway.port}; keepalive 2; }
        client_max_body_size 20m;
        proxy_set_header Host test;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        server {
          listen 127.0.0.1:${port};
          location / { proxy_pass http://troop; }
          location /kept {
            proxy_pass http://troop;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host test;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_request_buffering off;
          }
          location /socket {
            proxy_pass http://troop;
            proxy_http_version 1.1;
            proxy_set_header Connection upgrade;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Host test;
          }
        }`,
    )
  })

  afterEach(async () => {
    await nginx?.stop()
    await gateway?.stop()
    await upstream?.stop()
  })

  const fetched = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`${nginx.url}${path}`, init)
    return { status: response.status, headers: response.headers, text: await response.text() }
  }
  const accepted = () => new Counters(gateway.counters).get('accepted')

  it('by HTTP/1.0 on connections of one request, which is its way if nobody says otherwise', async () => {
    for (let i = 0; i < 3; i++) {
      const { status, headers, text } = await fetched('/x?a=%2F', { method: 'POST', body: words })
      expect(status).equal(200)
      expect(headers.get('via')).equal('troop/1.2.3')
      expect(JSON.parse(text)).include({ url: '/x?a=%2F', method: 'POST', body: words })
    }
    expect(accepted()).equal(3)
  })

  it('on connections that it keeps, uploads in chunks among them, each with its own answer', async () => {
    const all = Array.from({ length: 40 }, async (_, i) => {
      const body = i % 2 === 0 ? null : new Blob([`${i} ${words}`]).stream()
      const init = body ? { method: 'POST', body, duplex: 'half' as const } : {}
      const { text } = await fetched(`/kept/${i}`, init)
      expect(JSON.parse(text)).include({ url: `/kept/${i}`, body: body ? `${i} ${words}` : '' })
    })
    await Promise.all(all)
    for (let i = 0; i < 10; i++) await fetched('/kept/again')
    expect(accepted()).most(40)
  })

  it('is believed about its client, and is told what plugins say', async () => {
    const { text } = await fetched('/kept', { headers: { 'x-forwarded-for': '4.4.4.4' } })
    expect(JSON.parse(text).headers).include({
      'x-real-ip': '4.4.4.4',
      'x-forwarded-for': '4.4.4.4, 127.0.0.1, 4.4.4.4',
    })
    gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
    gateway.addKey(gateway.addConsumer('anna'), 'abc')
    expect((await fetched('/kept', { method: 'POST', body: words })).status).equal(401)
    expect((await fetched('/kept?apikey=abc', { method: 'POST', body: words })).status).equal(200)
  })

  it('an answer of some MB arrives whole, and one that breaks off does not pass for one', async () => {
    const large = words.repeat(50)
    upstream.answer = (request, response) => {
      if (request.url === '/kept/half') {
        response.writeHead(200, { 'content-length': large.length })
        response.write(large.slice(1_000_000), () => response.destroy())
      } else response.end(large)
    }
    for (const path of ['/', '/kept']) expect((await fetched(path)).text).equal(large)
    const broken = await fetched('/kept/half').catch((error) => String(error))
    expect(broken).match(/TypeError: terminated/)
  })

  it('WebSockets go through both', async () => {
    const server = http.createServer()
    const sockets = new WebSocketServer({ server })
    sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(`told ${data}`)))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    gateway.catalog.put('apis', { ...api, upstream_url: `http://127.0.0.1:${port}` })
    const socket = new WebSocket(`ws://127.0.0.1:${nginx.port}/socket`)
    await once(socket, 'open')
    socket.send('hello')
    expect(String((await once(socket, 'message'))[0])).equal('told hello')
    socket.close(4001)
    expect((await once(socket, 'close'))[0]).equal(4001)
    await until(() => sockets.clients.size === 0)
    server.close()
  })
})

function splitHead(reply: string): [head: string, body: string] {
  const end = reply.indexOf('\r\n\r\n')
  return [reply.slice(0, end), reply.slice(end + 4)]
}
