import { expect } from 'chai'
import type { JsonObject } from '../../../src/base/json.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { api } from '../../../src/entities/api.ts'
import { consumer } from '../../../src/entities/consumer.ts'
import { commonFields, defineEntity, type Entity } from '../../../src/entities/define.ts'
import { Invalid } from '../../../src/entities/errors.ts'
import { toReply } from '../../../src/entities/reply.ts'
import { describeSchema } from '../../../src/entities/schema.ts'
import { validate } from '../../../src/entities/validate.ts'

function check(entity: Entity, input: JsonObject): JsonObject {
  try {
    return validate(entity, input, { mode: 'create' }, systemRandom)
  } catch (error) {
    if (error instanceof Invalid) return error.errors as JsonObject
    throw error
  }
}

const withUrl = (input: JsonObject) => check(api, { upstream_url: 'http://mockbin.com', ...input })

describe('api', () => {
  it('takes hosts of at least two labels, the last of two characters or more [contract 486]', () => {
    for (const host of [
      'mockbin.com',
      'a-b.c_d.example',
      'Mixed.Case.COM',
      '10.0.0.12',
      'x.y9',
      '_srv.a.com',
    ]) {
      expect(withUrl({ request_host: host }).request_host).to.equal(host)
    }
    const refused = [
      'localhost',
      '127.0.0.1',
      'a..com',
      '.a.com',
      'a.com.',
      '-a.com',
      'a-.com',
      'a.com-',
      'a b.com',
      '/httpbin',
      'a.com:80',
      'ä.com',
      'a.c',
    ]
    for (const host of refused) {
      expect(withUrl({ request_host: host }), host).to.deep.equal({ request_host: `Invalid value: ${host}` })
    }
  })

  it('takes one wildcard, at either end [contract 486]', () => {
    for (const host of ['*.wildcard.com', 'wildcard.*', '*.com', 'a.b.*']) {
      expect(withUrl({ request_host: host }).request_host).to.equal(host)
    }
    for (const host of ['*', '*.', '.*', 'a.*.com', 'a*.com', '*a.com', 'a.com*']) {
      expect(withUrl({ request_host: host }), host).to.deep.equal({
        request_host: `Invalid wildcard placement: ${host}`,
      })
    }
    for (const host of ['*.*', '*.a.*', '**.com']) {
      expect(withUrl({ request_host: host })).to.deep.equal({
        request_host: `Only one wildcard is allowed: ${host}`,
      })
    }
  })

  it('checks what stands beside the wildcard, too', () => {
    for (const host of ['*.a b', '*.-a.com', 'a..*', '/x.*']) {
      expect(withUrl({ request_host: host })).to.deep.equal({ request_host: `Invalid value: ${host}` })
    }
  })

  it('takes paths of plain characters and drops the slash at their end [contract 102, 486]', () => {
    const taken = { '/': '/', '/a': '/a', '/a/': '/a', '/a/b.c_d-e~f/': '/a/b.c_d-e~f' }
    for (const [path, kept] of Object.entries(taken))
      expect(withUrl({ request_path: path }).request_path).to.equal(kept)
    const refused = {
      a: "must be prefixed with slash: 'a'",
      '//': "invalid: '//'",
      '/a//b': "invalid: '/a//b'",
      '/a b': "must only contain alphanumeric and '., -, _, ~, /' characters",
      '/%20': "must only contain alphanumeric and '., -, _, ~, /' characters",
    }
    for (const [path, text] of Object.entries(refused)) {
      expect(withUrl({ request_path: path })).to.deep.equal({ request_path: text })
    }
  })

  it('makes its name from the host, else from the path as it was given [contract 486]', () => {
    const names = (input: JsonObject) => withUrl(input).name
    expect(names({ request_host: 'mockbin.com', request_path: '/x' })).to.equal('mockbin.com')
    expect(names({ request_host: '*.foo.com' })).to.equal('-.foo.com')
    expect(names({ request_path: '/mockbin/status' })).to.equal('mockbin-status')
    expect(names({ request_path: '/a/' })).to.equal('a-')
    expect(names({ request_path: '/' })).to.equal('')
    expect(names({ name: '', request_host: 'mockbin.com' })).to.equal('mockbin.com')
  })

  it('refuses names with other characters [contract 486]', () => {
    for (const name of ['a b', 'a/b', 'ä', 'a@b']) {
      expect(withUrl({ name, request_path: '/a' })).to.deep.equal({
        name: "name must only contain alphanumeric and '., -, _, ~' characters",
      })
    }
  })

  it('takes http and https upstreams in any case [contract 486]', () => {
    for (const url of ['http://a.com', 'HTTPS://a.com/b', 'http://127.0.0.1:8080', 'http://[::1]/']) {
      expect(withUrl({ request_path: '/a', upstream_url: url }).upstream_url).to.equal(url)
    }
    expect(withUrl({ request_path: '/a', upstream_url: 'ftp://a.com' })).to.deep.equal({
      upstream_url: 'Supported protocols are HTTP and HTTPS',
    })
    for (const url of ['a.com', 'http://a.com:', 'http:///x', 'http://a.com:0', 'http://ü.com']) {
      expect(withUrl({ request_path: '/a', upstream_url: url }), url).to.deep.equal({
        upstream_url: 'upstream_url is not a url',
      })
    }
  })

  it('takes gRPC upstreams, which are a host and a port', () => {
    for (const url of ['grpc://a.com:50051', 'GRPCS://a.com', 'grpc://a.com/']) {
      expect(withUrl({ request_path: '/a', upstream_url: url }).upstream_url).to.equal(url)
    }
    for (const url of ['grpc://a.com/b', 'grpcs://a.com?b']) {
      expect(withUrl({ request_path: '/a', upstream_url: url }), url).to.deep.equal({
        upstream_url: `a gRPC upstream_url is a host and a port, without path and query: ${url}`,
      })
    }
  })

  it('needs a host or a path that is not blank [contract 9]', () => {
    const text = "At least a 'request_host' or a 'request_path' must be specified"
    expect(withUrl({ request_host: '', request_path: ' ' })).to.deep.equal({
      request_host: text,
      request_path: text,
    })
  })

  it('judges the rule over host and path only when neither is wrong in itself [contract 10]', () => {
    expect(withUrl({ request_host: false })).to.deep.equal({ request_host: 'request_host is not a string' })
  })
})

describe('consumer', () => {
  it('needs a username or a custom_id [contract 47]', () => {
    const text = "At least a 'custom_id' or a 'username' must be specified"
    expect(check(consumer, {})).to.deep.equal({ username: text, custom_id: text })
    expect(check(consumer, { custom_id: 'x' })).to.deep.equal({ username: null, custom_id: 'x' })
  })
})

describe('defineEntity', () => {
  const counts: Entity = {
    name: 'counts',
    fields: { value: { type: 'number' }, over_at: { type: 'timestamp' } },
    lookups: [],
    logged: false,
    expires: 'over_at',
  }

  it('lets rows have no id only where they are not logged, and an end that is an attribute', () => {
    expect(defineEntity(counts)).to.equal(counts)
    expect(() => defineEntity({ ...counts, logged: true })).to.throw('entity counts: needs an attribute id')
    const logged = { ...counts, fields: { ...counts.fields, ...commonFields }, logged: true }
    expect(defineEntity(logged)).to.equal(logged)
    expect(() => defineEntity({ ...counts, expires: 'end' })).to.throw('end is not one of its attributes')
  })
})

describe('toReply', () => {
  it('shows attributes in the order of the entity and leaves out what is unset', () => {
    const row = { custom_id: null, username: 'bob', id: 'x', created_at: 1000, stray: 1 }
    expect(JSON.stringify(toReply(consumer, row))).to.equal('{"id":"x","created_at":1000,"username":"bob"}')
  })
})

describe('describeSchema', () => {
  it('writes "function" for whatever is code and leaves the fields as they were', () => {
    const make = () => ['apikey']
    const fields = {
      ...commonFields,
      names: { type: 'array', required: true, default: make, check: () => undefined },
      kind: { type: 'string', enum: ['a'], pattern: /^a$/, immutable: true, default: 'a' },
      add: { type: 'table', fields: { headers: { type: 'array' } } },
      limits: { type: 'table', each: { minute: { type: 'number' } } },
    } as const
    expect(describeSchema(fields)).to.deep.equal({
      id: { type: 'id' },
      created_at: { type: 'timestamp' },
      names: { type: 'array', required: true, default: 'function', func: 'function' },
      kind: { type: 'string', enum: ['a'], regex: '^a$', immutable: true, default: 'a' },
      add: { type: 'table', schema: { fields: { headers: { type: 'array' } } } },
      limits: { type: 'table', schema: { flexible: true, fields: { minute: { type: 'number' } } } },
    })
    expect(fields.names.default).to.equal(make)
  })
})
