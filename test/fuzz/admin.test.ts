// Whatever is sent to the Admin API: an answer in JSON, and never one that blames the node.
import { expect } from 'chai'
import fc from 'fast-check'
import { startAdminOnPostgres, type TestAdmin } from '../support/admin.ts'
import { anyJson, isUnpolluted, memberNames, runs } from './runs.ts'

/** Attributes that there are, alone, dotted and in brackets, and others. */
const fieldNames = fc.oneof(
  fc.constantFrom(
    ...[
      'name',
      'request_host',
      'request_path',
      'upstream_url',
      'strip_request_path',
      'username',
      'custom_id',
      'id',
    ],
    ...[
      'config',
      'config.key_names',
      'config.limits.a.second',
      'config.second',
      'config[a][0]',
      'created_at',
      'key',
    ],
    ...[
      'size',
      'offset',
      'since',
      'entity',
      'operation',
      'consumer_id',
      'api_id',
      'enabled',
      'a.__proto__.polluted',
    ],
  ),
  memberNames,
  fc.array(memberNames, { maxLength: 4 }).map((names) => names.join('.')),
)
const likely = fc.constantFrom(
  ...[
    'http://a.com',
    'a.com',
    '*.a.com',
    '/a',
    'key-auth',
    'rate-limiting',
    'true',
    '1',
    '-1',
    '1e400',
    'NaN',
    '',
  ],
  ...[
    '00000000-0000-4000-8000-000000000000',
    '\0',
    '\ud800',
    '99999999999999999999',
    ' ',
    "'; drop table apis; --",
    '%',
  ],
)
const value = fc.oneof(likely, likely, anyJson)
const members = fc.dictionary(fieldNames, value, { maxKeys: 6 })

const segment = fc
  .oneof(likely, fc.string({ maxLength: 10 }))
  .map((text) => encodeURIComponent(text.toWellFormed()))
const paths = fc.oneof(
  fc.constantFrom(
    '/',
    '/apis',
    '/consumers',
    '/plugins',
    '/cluster',
    '/cluster/events',
    '/cache',
    '/status',
    '/plugins/schema/x',
  ),
  fc
    .tuple(
      fc.constantFrom('apis', 'consumers', 'plugins', 'cache', 'cluster/nodes', 'plugins/schema'),
      segment,
    )
    .map((both) => `/${both.join('/')}`),
  fc
    .tuple(fc.constantFrom('apis/a/plugins', 'consumers/a/key-auth', 'apis/a/plugins'), segment)
    .map((both) => `/${both.join('/')}`),
  fc.string({ maxLength: 12 }).map((text) => `/${text.replace(/[^\x21-\x22\x24-\x7e]/g, '')}`),
)
const query = fc.oneof(
  fc.constant(''),
  fc
    .dictionary(fieldNames, fc.oneof(likely, fc.string({ maxLength: 8 })), { maxKeys: 3 })
    .map((some) => `?${form(some)}`),
  fc.string({ maxLength: 12 }).map((text) => `?${text.replace(/[^\x21-\x22\x24-\x7e]/g, '')}`),
)
const body = fc.oneof(
  members.map((some) => ({ type: 'application/json', body: JSON.stringify(some) })),
  members.map((some) => ({ type: 'application/x-www-form-urlencoded', body: form(some) })),
  members.map((some) => ({ type: 'multipart/form-data; boundary=b', body: parts(some) })),
  fc
    .tuple(
      fc.constantFrom(
        'application/json',
        'multipart/form-data',
        'multipart/form-data; boundary=b',
        'application/x-www-form-urlencoded',
        'text/plain',
      ),
      fc.uint8Array({ maxLength: 60 }),
    )
    .map(([type, bytes]) => ({ type, body: Buffer.from(bytes) })),
  fc
    .constantFrom(2, 40, 100_000)
    .map((deep) => ({ type: 'application/json', body: `{"config":${'['.repeat(deep)}${']'.repeat(deep)}}` })),
  fc.constantFrom(2, 40, 100_000).map((deep) => ({
    type: 'application/json',
    body: `{"config":${'{"a":'.repeat(deep)}1${'}'.repeat(deep)}}`,
  })),
)
const conditions = fc.oneof(
  fc.constant(undefined),
  fc.constantFrom('*', '""', 'W/"a"', '"a", "b"', ',,'),
  fc.string({ maxLength: 10 }).map((text) => text.replace(/[^\x20-\x7e]/g, '')),
)

describe('the Admin API', () => {
  let admin: TestAdmin
  before(async () => {
    admin = await startAdminOnPostgres()
    await admin.json('POST', '/apis', { name: 'a', request_host: 'a.com', upstream_url: 'http://a.com' })
    await admin.json('POST', '/consumers', { username: 'a' })
  })
  after(() => admin.stop())

  const isNoFault = (reply: { status: number; text: string }, what: string) => {
    expect(reply.status, `${what} → ${reply.text}`).to.be.below(500)
    if (reply.status >= 400) expect(() => JSON.parse(reply.text), `${what} → ${reply.text}`).not.to.throw()
    expect(isUnpolluted()).to.equal(true)
  }

  it('answers any path, query and condition with what is there, or with a reason', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('GET', 'DELETE'),
        paths,
        query,
        conditions,
        async (method, path, asked, tag) => {
          const headers = tag === undefined ? {} : { 'if-match': tag, 'if-none-match': tag }
          const target = path + asked
          const reply = await admin.fetch(method, target, { headers })
          isNoFault(reply, `${method} ${target} ${tag}`)
        },
      ),
      runs(100),
    )
  }).timeout(600_000)

  it('answers any body of any kind with what it made of it, or with a reason', async () => {
    const methods = fc.constantFrom('POST', 'PUT', 'PATCH')
    await fc.assert(
      fc.asyncProperty(methods, paths, body, conditions, async (method, path, { type, body: sent }, tag) => {
        const headers = { 'content-type': type, ...(tag !== undefined && { 'if-match': tag }) }
        const reply = await admin.fetch(method, path, { headers, body: sent })
        isNoFault(reply, `${method} ${path} ${type} ${sent.slice(0, 500)}`)
      }),
      runs(200),
    )
  }).timeout(600_000)

  it('answers any parameters of the log, page or stream, with events or with a reason', async () => {
    const parameters = fc.dictionary(fieldNames, fc.oneof(likely, fc.string({ maxLength: 6 })), {
      maxKeys: 3,
    })
    const accepted = fc.constantFrom('application/json', 'text/event-stream', '*/*')
    await fc.assert(
      fc.asyncProperty(parameters, accepted, conditions, async (some, accept, last) => {
        const headers = { accept, ...(last !== undefined && { 'last-event-id': last }) }
        const target = `/cluster/events?${form(some)}`
        const response = await fetch(admin.origin + target, { headers })
        // A stream goes on for ever.
        const isStream = response.headers.get('content-type')?.startsWith('text/event-stream')
        const text = isStream ? await response.body?.cancel().then(() => '') : await response.text()
        isNoFault({ status: response.status, text: text ?? '' }, `${target} ${accept} ${last}`)
      }),
      runs(80),
    )
  }).timeout(600_000)
})

function form(some: Readonly<Record<string, unknown>>): string {
  const text = (one: unknown) =>
    encodeURIComponent((typeof one === 'string' ? one : String(JSON.stringify(one))).toWellFormed())
  return Object.entries(some)
    .map(([name, one]) => `${text(name)}=${text(one)}`)
    .join('&')
}

function parts(some: Readonly<Record<string, unknown>>): string {
  const one = ([name, one]: [string, unknown]) =>
    `--b\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${typeof one === 'string' ? one : JSON.stringify(one)}\r\n`
  return `${Object.entries(some).map(one).join('')}--b--\r\n`
}
