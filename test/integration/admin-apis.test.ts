import { expect } from 'chai'
import type { JsonObject } from '../../src/base/json.ts'
import { encodings, sendAs, startAdminOnPostgres, type TestAdmin } from '../support/admin.ts'

const unknownId = '00000000-0000-4000-8000-000000000000'
const hostOrPath = "At least a 'request_host' or a 'request_path' must be specified"
const empty = { upstream_url: 'upstream_url is required', request_path: hostOrPath, request_host: hostOrPath }
const upstream_url = 'http://api-test.com'

describe('/apis', () => {
  let admin: TestAdmin & { test: { query(text: string): Promise<unknown> } }
  before(async () => {
    admin = await startAdminOnPostgres()
  })
  after(() => admin.stop())
  afterEach(() => admin.test.query('delete from apis'))

  const make = async (body: object = { name: 'api', request_host: 'api-test.com', upstream_url }) =>
    (await admin.json('POST', '/apis/', body as never)).body

  for (const encoding of encodings) {
    describe(`with ${encoding} bodies`, () => {
      const send: ReturnType<typeof sendAs> = (...request) => sendAs(admin, encoding)(...request)

      it('creates an API and answers with it [contract 7, 137]', async () => {
        const reply = await send('POST', '/apis/', {
          name: 'api',
          request_host: 'api-test.com',
          upstream_url,
        })
        expect(reply.status).to.equal(201)
        const { id, created_at, ...rest } = reply.body
        expect(id).to.match(/^[0-9a-f-]{36}$/)
        expect(created_at % 1000).to.equal(0)
        expect(Math.abs(created_at - Date.parse(reply.headers.get('date') ?? ''))).to.be.below(60_000)
        expect(rest).to.deep.equal({
          ...{ name: 'api', request_host: 'api-test.com', upstream_url },
          ...{ strip_request_path: false, preserve_host: false },
        })
      })

      it('refuses an empty body by all that is missing [contract 9, 15]', async () => {
        for (const method of ['POST', 'PUT']) {
          const reply = await send(method, '/apis/', {})
          expect(reply.status).to.equal(400)
          expect(reply.body).to.deep.equal(empty)
        }
      })

      it('refuses a host that is none [contract 10]', async () => {
        const reply = await send('POST', '/apis', { request_host: '/httpbin', upstream_url })
        expect(reply.status).to.equal(400)
        expect(reply.body).to.deep.equal({ request_host: 'Invalid value: /httpbin' })
      })

      it('refuses what another API has, by POST and by PUT without id [contract 11, 16]', async () => {
        const api = await make()
        for (const method of ['POST', 'PUT']) {
          const reply = await send(method, '/apis/', {
            name: 'other',
            request_host: 'api-test.com',
            upstream_url,
          })
          expect(reply.status).to.equal(409)
          expect(reply.body).to.deep.equal({ request_host: "already exists with value 'api-test.com'" })
        }
        expect((await admin.get('/apis/')).body.data).to.deep.equal([api])
      })

      it('creates by PUT without id [contract 12]', async () => {
        const reply = await send('PUT', '/apis/', { name: 'api', request_host: 'api-test.com', upstream_url })
        expect(reply.status).to.equal(201)
        expect(reply.body.name).to.equal('api')
      })

      it('refuses a PUT with id and without created_at [contract 13]', async () => {
        const { id } = await make()
        const reply = await send('PUT', '/apis/', { id, name: 'b', request_host: 'b.com', upstream_url })
        expect(reply.status).to.equal(400)
        expect(reply.body).to.deep.equal({ created_at: 'created_at is required' })
      })

      it('replaces by PUT with id, all but its age [contract 14]', async () => {
        const api = await make({ request_path: '/a', strip_request_path: true, upstream_url })
        const body = {
          id: api.id,
          name: 'new',
          request_host: 'new.com',
          upstream_url,
          created_at: 1_461_276_890_000,
        }
        const reply = await send('PUT', '/apis/', body)
        expect(reply.status).to.equal(200)
        expect(reply.body).to.deep.equal({
          ...{ id: api.id, name: 'new', request_host: 'new.com', upstream_url, created_at: api.created_at },
          ...{ strip_request_path: false, preserve_host: false },
        })
        expect((await admin.get('/apis/new')).body).to.deep.equal(reply.body)
      })

      it('creates by PUT with an id that is not there, and replaces when it is repeated', async () => {
        const body = { id: unknownId, name: 'new', request_host: 'new.com', upstream_url, created_at: 1 }
        const [made, repeated] = [await send('PUT', '/apis/', body), await send('PUT', '/apis/', body)]
        expect([made.status, repeated.status]).to.deep.equal([201, 200])
        expect(made.body.id).to.equal(unknownId)
        expect(repeated.body).to.deep.equal(made.body)
      })

      it('changes one attribute, by id and by name [contract 21]', async () => {
        const api = await make()
        expect((await send('PATCH', `/apis/${api.id}`, { name: 'b' })).body).to.deep.equal({
          ...api,
          name: 'b',
        })
        const reply = await send('PATCH', '/apis/b', { name: 'c' })
        expect(reply.status).to.equal(200)
        expect((await admin.get(`/apis/${api.id}`)).body).to.deep.equal({ ...api, name: 'c' })
      })

      it('sets what was absent, what had a default, and several at once [contract 22-24]', async () => {
        const api = await make()
        for (const body of [
          { request_path: '/a' },
          { strip_request_path: true },
          { request_path: '/b', request_host: 'b.com' },
        ]) {
          const reply = await send('PATCH', '/apis/api', body)
          expect(reply.status).to.equal(200)
          expect(reply.body).to.include(body)
          expect((await admin.get(`/apis/${api.id}`)).body).to.deep.equal(reply.body)
        }
      })

      it('does not change an unknown API [contract 25]', async () => {
        for (const name of ['unknown', unknownId]) {
          expect((await send('PATCH', `/apis/${name}`, { name: 'b' })).status).to.equal(404)
        }
      })

      it('does not blank the only way to reach an API [contract 26]', async () => {
        const api = await make()
        const reply = await send('PATCH', '/apis/api', { name: 'api', request_host: '' })
        expect(reply.status).to.equal(400)
        expect(reply.body).to.deep.equal({ request_host: hostOrPath })
        expect((await admin.get('/apis/api')).body).to.deep.equal(api)
      })

      it('unsets an attribute by a blank, so that two APIs can have none', async () => {
        for (const n of ['a', 'b']) {
          await make({ name: n, request_host: `${n}.com`, request_path: `/${n}`, upstream_url })
          const reply = await send('PATCH', `/apis/${n}`, { request_path: '' })
          expect(reply.status).to.equal(200)
          expect(reply.body).not.to.have.property('request_path')
        }
      })

      it('refuses a PATCH that says nothing', async () => {
        await make()
        const reply = await send('PATCH', '/apis/api', {})
        expect(reply.status).to.equal(400)
        expect(reply.body).to.have.keys('message')
      })

      it('never lets an id in the body choose the row', async () => {
        const [a, b] = [await make(), await make({ name: 'b', request_host: 'b.com', upstream_url })]
        const reply = await send('PATCH', '/apis/api', { id: b.id, preserve_host: true })
        expect(reply.body).to.deep.equal({ ...a, preserve_host: true })
        expect((await admin.get('/apis/b')).body).to.deep.equal(b)
      })
    })
  }

  it('unsets an attribute by null', async () => {
    await make({ name: 'a', request_host: 'a.com', request_path: '/a', upstream_url })
    const reply = await admin.json('PATCH', '/apis/a', { request_host: null })
    expect(reply.body).not.to.have.property('request_host')
  })

  it('keeps created_at whatever a client says', async () => {
    const api = await make()
    expect((await admin.json('PATCH', '/apis/api', { created_at: 5 })).body.created_at).to.equal(
      api.created_at,
    )
    const other = await make({ name: 'b', request_host: 'b.com', upstream_url, created_at: 5 })
    expect(other.created_at).to.be.at.least(api.created_at)
  })

  it('compares hosts without regard to case and keeps the case', async () => {
    const api = await make({ request_host: 'Api-Test.com', upstream_url })
    expect(api.request_host).to.equal('Api-Test.com')
    const reply = await admin.json('POST', '/apis', { name: 'b', request_host: 'API-test.com', upstream_url })
    expect(reply.status).to.equal(409)
    expect(reply.body).to.deep.equal({ request_host: "already exists with value 'API-test.com'" })
  })

  it('reads by id and by name exactly what was created [contract 20]', async () => {
    const api = await make()
    for (const name of [api.id, 'api']) {
      const reply = await admin.get(`/apis/${name}`)
      expect(reply.status).to.equal(200)
      expect(reply.body).to.deep.equal(api)
    }
    for (const name of ['unknown', unknownId, api.id.toUpperCase(), '%00', 'a%2Fb', '%ff']) {
      const reply = await admin.get(`/apis/${name}`)
      expect(reply.status, name).to.equal(404)
      expect(reply.text).to.equal('{"message":"Not found"}\n')
    }
  })

  it('deletes by id and by name, once [contract 27, 146]', async () => {
    const api = await make()
    await make({ name: 'b', request_host: 'b.com', upstream_url })
    for (const name of [api.id, 'b']) {
      const reply = await admin.delete(`/apis/${name}`)
      expect(reply.status).to.equal(204)
      expect(reply.text).to.equal('')
      expect((await admin.delete(`/apis/${name}`)).status).to.equal(404)
    }
  })

  describe('a list', () => {
    beforeEach(async () => {
      for (let n = 0; n < 10; n++) {
        await make({ request_host: `api-${n}.com`, upstream_url, preserve_host: n % 2 === 0 })
      }
    })

    it('has all rows and their number [contract 17, 141]', async () => {
      const { status, body } = await admin.get('/apis/')
      expect(status).to.equal(200)
      expect(body.total).to.equal(10)
      expect(body.data).to.have.length(10)
      expect(body).not.to.have.property('next')
    })

    it('comes in pages, each row on one of them [contract 18, 142]', async () => {
      const seen: string[] = []
      const sizes: number[] = []
      let next: string | undefined = `${admin.origin}/apis/?size=3`
      while (next) {
        const { body } = await admin.get(next.slice(admin.origin.length))
        expect(body.total).to.equal(10)
        seen.push(...body.data.map(({ id }: { id: string }) => id))
        sizes.push(body.data.length)
        next = body.next
        if (next) expect(next).to.match(/^http:\/\/127\.0\.0\.1:\d+\/apis\/\?size=3&offset=[^&]+$/)
      }
      expect(sizes).to.deep.equal([3, 3, 3, 1])
      expect(new Set(seen).size).to.equal(10)
    })

    it('goes on at the last of several offsets, as when a client appends the whole next [contract 18]', async () => {
      const { next } = (await admin.get('/apis?size=3')).body
      const offset = new URL(next).searchParams.get('offset')
      const second = await admin.get(next.slice(admin.origin.length))
      const appended = await admin.get(`/apis?size=3&offset=x&offset=${offset}`)
      expect(appended.body.data).to.deep.equal(second.body.data)
    })

    it('keeps its filters from page to page', async () => {
      const first = await admin.get('/apis?preserve_host=True&size=3')
      const second = await admin.get(first.body.next.slice(admin.origin.length))
      expect(first.body.total).to.equal(5)
      expect([...first.body.data, ...second.body.data].every((row) => row.preserve_host)).to.equal(true)
      expect(second.body.data).to.have.length(2)
      expect(second.body).not.to.have.property('next')
    })

    it('takes its parameters from a JSON body, too', async () => {
      const get = async (body: JsonObject) => (await admin.getWithBody('/apis', body)).body
      expect((await get({ request_host: 'api-4.com' })).total).to.equal(1)
      expect((await get({ size: 2 })).data).to.have.length(2)
    })

    it('refuses unknown attributes, malformed ids and negative sizes [contract 19]', async () => {
      const refused = {
        'foo=bar': { foo: 'unknown field' },
        'id=abc': { id: 'abc is not a valid uuid' },
        'size=-1': { size: 'size is not a whole number from 0' },
        [`offset=${btoa('x')}`]: { offset: 'offset is not one that a list gave as part of next' },
      }
      for (const [query, body] of Object.entries(refused)) {
        const reply = await admin.get(`/apis?${query}`)
        expect(reply.status, query).to.equal(400)
        expect(reply.body).to.deep.equal(body)
      }
    })

    it('survives sizes and offsets of any number', async () => {
      expect((await admin.get('/apis?size=0')).body).to.deep.equal({ data: [], total: 10 })
      expect((await admin.get('/apis?size=1e99')).body.data).to.have.length(10)
      const far = await admin.get(`/apis?size=2147483647&offset=${encodeURIComponent(btoa('2147483647'))}`)
      expect(far.body).to.deep.equal({ data: [], total: 10 })
      expect((await admin.get('/apis?size=x&offset=!')).body.data).to.have.length(10)
    })

    it('is exactly this when it is empty', async () => {
      const reply = await admin.get('/apis?name=unknown')
      expect(reply.text).to.equal('{"data":[],"total":0}\n')
    })
  })

  it('writes name the position of their event, and it is published before they answer', async () => {
    const positions = async () =>
      (await admin.test.query('select position from events order by position')) as { position: number }[]
    const make = await admin.json('POST', '/apis', { request_host: 'a.com', upstream_url })
    const patch = await admin.json('PATCH', '/apis/a.com', { preserve_host: true })
    const gone = await admin.delete('/apis/a.com')
    const last = Number((await positions()).at(-1)?.position)
    const named = [make, patch, gone].map(({ headers }) => Number(headers.get('x-troop-position')))
    expect(named).to.deep.equal([last - 2, last - 1, last])
    expect((admin as unknown as { published: number[] }).published.slice(-3)).to.deep.equal(named)
    expect((await admin.get('/apis')).headers.has('x-troop-position')).to.equal(false)
  })
})
