// How requests come in and answers go out, whatever they are about; hostile ones above all.
import { once } from 'node:events'
import { connect } from 'node:net'
import { expect } from 'chai'
import { bodyBytesMax } from '../../src/admin/body.ts'
import { startAdminOnPostgres, type TestAdmin } from '../support/admin.ts'
import type { TestDatabase } from '../support/postgres.ts'

const upstream_url = 'http://api-test.com'
const json = { 'content-type': 'application/json' }

describe('admin requests', () => {
  let admin: TestAdmin & { readonly test: TestDatabase }
  before(async () => {
    admin = await startAdminOnPostgres()
  })
  after(() => admin.stop())
  afterEach(async () => {
    await admin.test.query('delete from apis')
    await admin.test.query('delete from consumers')
  })

  const post = (
    path: string,
    body: string | Uint8Array<ArrayBuffer>,
    headers: Record<string, string> = json,
  ) => admin.fetch('POST', path, { body, headers })

  describe('routing', () => {
    it('works with and without a slash at the end, and never redirects', async () => {
      for (const path of ['/apis', '/apis/', '/status/', '/plugins/enabled/', '/cluster-of-none']) {
        const reply = await admin.fetch('GET', path, { redirect: 'manual' })
        expect(reply.status, path).to.equal(path === '/cluster-of-none' ? 404 : 200)
      }
    })

    it('tells a wrong method from a wrong path, before it looks for entities [contract 3]', async () => {
      for (const method of ['POST', 'DELETE', 'PUT', 'PATCH']) {
        const reply = await admin.form(method, '/', { a: '1' })
        expect(reply.status).to.equal(405)
        expect(reply.body).to.deep.equal({ message: 'Method not allowed' })
        expect(reply.headers.get('allow')).to.equal('HEAD, GET')
      }
      const others = [
        'POST /apis/unknown',
        'GET /cache',
        'PUT /apis/unknown',
        'PATCH /plugins/enabled',
        'POST /status',
      ]
      for (const other of others) {
        const [method, path] = other.split(' ') as [string, string]
        const reply = method === 'GET' ? await admin.get(path) : await admin.form(method, path, { a: '1' })
        expect(reply.status, other).to.equal(405)
      }
      for (const path of ['/unknown', '/APIS', '/apis/a/b/c/d', '/nginx_status']) {
        const reply = await admin.get(path)
        expect(reply.status, path).to.equal(404)
        expect(reply.text).to.equal('{"message":"Not found"}\n')
      }
    })

    it('answers HEAD like GET, without a body, and needs no Content-Type for it', async () => {
      await admin.json('POST', '/apis', { name: 'a', request_host: 'a.com', upstream_url })
      const statuses = { '/apis': 200, '/apis/a': 200, '/apis/unknown': 404, '/cache': 200, '/unknown': 404 }
      for (const [path, status] of Object.entries(statuses)) {
        const reply = await admin.fetch('HEAD', path)
        expect(reply.status, path).to.equal(status)
        expect(reply.text).to.equal('')
      }
    })

    it('answers OPTIONS on any path with the methods that there are', async () => {
      for (const path of ['/', '/apis/x', '/unknown']) {
        const reply = await admin.fetch('OPTIONS', path)
        expect(reply.status).to.equal(204)
        expect(reply.headers.get('access-control-allow-methods')).to.equal('GET,HEAD,PUT,PATCH,POST,DELETE')
        expect(reply.headers.get('access-control-allow-headers')).to.include('Content-Type')
        expect(reply.headers.has('access-control-allow-origin')).to.equal(false)
      }
    })

    it('sends robots away', async () => {
      const reply = await admin.get('/robots.txt?x')
      expect(reply.status).to.equal(200)
      expect(reply.text).to.equal('User-agent: *\nDisallow: /\n')
    })
  })

  describe('answers', () => {
    it('are JSON with a newline at the end, by a named server [contract 2]', async () => {
      for (const path of ['/', '/apis', '/unknown', '/apis/unknown']) {
        const reply = await admin.get(path)
        expect(reply.headers.get('content-type')).to.equal('application/json; charset=utf-8')
        expect(reply.headers.get('server')).to.equal('troop/0.1.0')
        expect(reply.headers.has('via')).to.equal(false)
        expect(reply.text.at(-1)).to.equal('\n')
      }
    })

    it('write slashes and empty lists as they are', async () => {
      await admin.json('POST', '/apis', { request_path: '/a', upstream_url })
      const body = { name: 'ip-restriction', config: { whitelist: [] } }
      const reply = await admin.json('POST', '/apis/a/plugins', body)
      expect(reply.text).to.include('"whitelist":[]')
      expect((await admin.get('/apis/a')).text).to.include('"request_path":"/a"')
    })
  })

  describe('bodies', () => {
    it('need a Content-Type, before anything else is looked at', async () => {
      for (const path of ['/apis', '/unknown', '/']) {
        for (const headers of [{}, { 'content-type': ' ' }] as Record<string, string>[]) {
          const reply = await admin.fetch('POST', path, { body: new Uint8Array(1), headers })
          expect(reply.status).to.equal(415)
          expect(reply.body.message).to.include('Content-Type')
        }
      }
    })

    it('that are no JSON are refused [contract 8]', async () => {
      const broken = ['{"name":"a","request_host":"a.com"', '', ' ', '{"a":1}}', "{'a':1}", '\ufeff\ufeff{}']
      for (const text of [...broken, new Uint8Array([123, 34, 255, 34, 58, 49, 125])]) {
        const reply = await post('/apis', text)
        expect(reply.status, String(text)).to.equal(400)
        expect(reply.text).to.equal('{"message":"Cannot parse JSON body"}\n')
      }
    })

    it('that are JSON but no object are refused', async () => {
      for (const text of ['null', '1', '"a"', 'true', '[]', '[{"name":"a"}]']) {
        const reply = await post('/apis', text)
        expect(reply.status, text).to.equal(400)
        expect(reply.body).to.deep.equal({ message: 'JSON body is not an object' })
      }
    })

    it('may be missing where they are seldom sent, whatever the Content-Type', async () => {
      expect((await admin.fetch('GET', '/apis', { headers: json })).status).to.equal(200)
      expect((await admin.fetch('DELETE', '/cache', { headers: json })).status).to.equal(204)
    })

    it('of several parts count by their content, files too', async () => {
      const form = new FormData()
      form.set('name', 'response-ratelimiting')
      form.set(
        'config.limits.video.minute',
        new Blob(['5'], { type: 'application/octet-stream' }),
        'limit.txt',
      )
      await admin.json('POST', '/apis', { name: 'a', request_host: 'a.com', upstream_url })
      const reply = await admin.fetch('POST', '/apis/a/plugins', { body: form })
      expect(reply.status).to.equal(201)
      expect(reply.body.config).to.deep.equal({ limits: { video: { minute: 5 } } })
    })

    it('of several parts are refused when they are not what they say', async () => {
      const type = { 'content-type': 'multipart/form-data; boundary=x' }
      const part = (value: string) => `--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n${value}\r\n`
      for (const text of ['', 'x', '--x--', part('1'), `${part('1')}--y--`, part('1').repeat(101)]) {
        const reply = await post('/consumers', text, type)
        expect(reply.status, text.slice(0, 100)).to.equal(400)
      }
      expect((await post('/consumers', 'x', { 'content-type': 'multipart/form-data' })).status).to.equal(400)
      const many = await post('/consumers', `${part('1').repeat(101)}--x--\r\n`, type)
      expect(many.body.message).to.include('Too many form fields: 101')
    })

    it('of other types are ignored', async () => {
      const reply = await post('/consumers?username=bob', '<a/>', { 'content-type': 'text/xml' })
      expect(reply.status).to.equal(201)
      expect(reply.body.username).to.equal('bob')
    })

    it('overrule the query string, and what is unknown there counts', async () => {
      expect((await admin.json('POST', '/consumers?username=a', { username: 'b' })).body.username).to.equal(
        'b',
      )
      expect((await admin.form('POST', '/consumers?foo=1', { username: 'c' })).body).to.deep.equal({
        foo: 'foo is an unknown field',
      })
    })

    it('of more than 10 kB are taken [contract 5]', async () => {
      await admin.json('POST', '/apis', { name: 'a', request_host: 'a.com', upstream_url })
      const addresses = Array.from({ length: 1000 }, (_, n) => `10.0.${n >> 8}.${n & 255}`)
      const body = { name: 'ip-restriction', 'config.blacklist': addresses.join(',') }
      const reply = await admin.form('POST', '/apis/a/plugins', body)
      expect(reply.status).to.equal(201)
      expect(reply.body.config.blacklist).to.deep.equal(addresses)
    })

    it('of more than 10 MB are refused, announced or not, and the connection goes on [contract 6]', async () => {
      const form = { 'content-type': 'application/x-www-form-urlencoded' }
      const text = (bytes: number) => `username=${'a'.repeat(bytes - 9)}`
      const announced = await post('/consumers', text(bodyBytesMax + 1), form)
      expect(announced.status).to.equal(413)
      expect(announced.body.message).to.include('larger than 10485760 bytes')
      const chunked = await admin.fetch('POST', '/consumers', {
        ...{ body: new Blob([text(bodyBytesMax + 1)]).stream(), headers: form, duplex: 'half' },
      } as RequestInit)
      expect(chunked.status).to.equal(413)
      const most = await post('/consumers', JSON.stringify({ foo: 'a'.repeat(bodyBytesMax - 10) }))
      expect(most.status).to.equal(400)
      expect(most.body).to.deep.equal({
        foo: 'foo is an unknown field',
        username: "At least a 'custom_id' or a 'username' must be specified",
        custom_id: "At least a 'custom_id' or a 'username' must be specified",
      })
      expect((await admin.get('/apis')).status).to.equal(200)
    })

    it('that were refused while they came are read to their end, so that the next request is answered', async () => {
      const socket = connect(Number(new URL(admin.origin).port), '127.0.0.1')
      const head = 'Host: localhost\r\nContent-Type: application/json\r\n'
      socket.write(`POST /consumers HTTP/1.1\r\n${head}Transfer-Encoding: chunked\r\n\r\n`)
      const bytes = bodyBytesMax * 2
      socket.write(`${bytes.toString(16)}\r\n${'a'.repeat(bytes)}\r\n0\r\n\r\n`)
      socket.write('GET /apis HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
      const text = (await socket.setEncoding('utf8').toArray()).join('')
      expect(text.match(/HTTP\/1\.1 \d+/g)).to.deep.equal(['HTTP/1.1 413', 'HTTP/1.1 200'])
    })

    it('that end early harm nobody', async () => {
      const socket = connect(Number(new URL(admin.origin).port), '127.0.0.1')
      socket.write(
        'POST /apis HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{',
      )
      await once(socket, 'ready')
      socket.destroy()
      expect((await admin.get('/apis')).status).to.equal(200)
    })
  })

  describe('hostile values', () => {
    it('that the datastore can not hold are refused by name', async () => {
      const text = 'username holds a character that cannot be stored: NUL or half a surrogate pair'
      for (const body of ['{"username":"a\\u0000"}', '{"username":"\\ud800"}']) {
        const reply = await post('/consumers', body)
        expect(reply.status).to.equal(400)
        expect(reply.body).to.deep.equal({ username: text })
      }
      expect((await admin.form('POST', '/consumers', 'username=a%00b')).body).to.deep.equal({
        username: text,
      })
      expect((await admin.get('/consumers?username=%00')).status).to.equal(400)
      expect((await admin.get('/consumers/%00')).status).to.equal(404)
    })

    it('that are too long for an index are refused', async () => {
      const long = Array.from({ length: 20_000 }, (_, n) => (n * 2_654_435_761).toString(36)).join('')
      const reply = await admin.json('POST', '/consumers', { username: long })
      expect(reply.status).to.equal(400)
      expect(reply.body.message).to.include('longer than the datastore can index')
    })

    it('that inherit from objects are unknown fields', async () => {
      const reply = await post('/consumers', '{"username":"a","__proto__":{"custom_id":"x"},"constructor":1}')
      expect(reply.status).to.equal(400)
      expect(reply.text).to.equal(
        '{"__proto__":"__proto__ is an unknown field","constructor":"constructor is an unknown field"}\n',
      )
    })

    it('that are numbers beyond reason are no numbers', async () => {
      await admin.json('POST', '/apis', { name: 'a', request_host: 'a.com', upstream_url })
      for (const number of ['1e400', '-1e400', '"1e400"']) {
        const reply = await post('/apis/a/plugins', `{"name":"rate-limiting","config":{"minute":${number}}}`)
        expect(reply.status).to.equal(400)
        expect(reply.body).to.deep.equal({ 'config.minute': 'minute is not a number' })
      }
      const large = await post('/apis/a/plugins', '{"name":"rate-limiting","config":{"minute":1e300}}')
      expect(large.body.config.minute).to.equal(1e300)
    })

    it('of every JSON type are refused or stored, never a failure', async () => {
      const values = ['null', 'true', '0', '-1.5e9', '""', '"x"', '[]', '[[]]', '{}', '{"a":{"b":[null]}}']
      for (const field of ['id', 'created_at', 'name', 'request_host', 'upstream_url', 'preserve_host']) {
        for (const value of values) {
          const reply = await post('/apis', `{"${field}":${value}}`)
          expect(reply.status, `${field} ${value}`).to.equal(400)
        }
      }
      await admin.json('POST', '/apis', { name: 'a', request_host: 'a.com', upstream_url })
      for (const field of ['id', 'name', 'consumer_id', 'config', 'enabled', 'api_id']) {
        for (const value of values) {
          const reply = await post('/apis/a/plugins', `{"name":"key-auth","${field}":${value}}`)
          expect(reply.status, `${field} ${value}`).to.be.oneOf([201, 400])
          if (reply.status === 201) await admin.delete(`/plugins/${reply.body.id}`)
        }
      }
    })
  })

  describe('writes at the same time', () => {
    it('of one unique value make one row, and the others are told', async () => {
      const create = () => admin.json('POST', '/apis', { name: 'a', request_host: 'a.com', upstream_url })
      const replies = await Promise.all(Array.from({ length: 20 }, create))
      const statuses = replies.map(({ status }) => status).sort()
      expect(statuses).to.deep.equal([201, ...Array(19).fill(409)])
      const taken = { name: "already exists with value 'a'" }
      for (const { status, body } of replies) if (status === 409) expect(body).to.deep.equal(taken)
    })

    it('of one plugin for one API make one row', async () => {
      await admin.json('POST', '/apis', { name: 'a', request_host: 'a.com', upstream_url })
      const create = () => admin.json('POST', '/apis/a/plugins', { name: 'key-auth' })
      const replies = await Promise.all(Array.from({ length: 10 }, create))
      expect(replies.filter(({ status }) => status === 201)).to.have.length(1)
      expect(replies.filter(({ status }) => status === 409)).to.have.length(9)
    })

    it('of one PUT with an id all succeed', async () => {
      const id = '4d924084-1adb-40a5-c042-63b19db421d1'
      const put = () => admin.json('PUT', '/consumers', { id, username: 'bob', created_at: 1 })
      const replies = await Promise.all(Array.from({ length: 10 }, put))
      const statuses = replies.map(({ status }) => status).sort()
      expect(statuses).to.deep.equal([...Array(9).fill(200), 201])
    })

    it('of several attributes of one row all stay', async () => {
      await admin.json('POST', '/apis', { name: 'a', request_host: 'a.com', upstream_url })
      const changes = [{ preserve_host: true }, { strip_request_path: true }, { request_path: '/a' }]
      await Promise.all(changes.map((change) => admin.json('PATCH', '/apis/a', change)))
      expect((await admin.get('/apis/a')).body).to.include(Object.assign({}, ...changes))
    })

    it('name who wrote in their events', async () => {
      await admin.json('POST', '/consumers', { username: 'bob' })
      const events = await admin.test.query('select body from events order by position desc limit 1')
      expect(JSON.parse(events[0].body).actor).to.equal('admin-api 127.0.0.1')
    })
  })
})
