// Changes of what the client has seen, or none at all: entity tags, held against the locked row.
import { expect } from 'chai'
import { startAdminOnPostgres, type TestAdmin } from '../support/admin.ts'
import type { TestDatabase } from '../support/postgres.ts'

describe('an entity tag', () => {
  let admin: TestAdmin & { readonly test: TestDatabase }
  before(async () => {
    admin = await startAdminOnPostgres()
  })
  after(() => admin.stop())
  afterEach(() => admin.test.query('delete from consumers'))

  const send = (method: string, path: string, tag: string, body?: object) =>
    admin.fetch(method, path, {
      headers: { 'content-type': 'application/json', 'if-match': tag },
      ...(body && { body: JSON.stringify(body) }),
    })
  const tagOf = async (path: string) => (await admin.get(path)).headers.get('etag') as string
  const events = async () => (await admin.test.query('select max(position)::int as head from events'))[0].head

  it('is the same for the same entity, told by reads and writes, and another after a change', async () => {
    const made = await admin.json('POST', '/consumers', { username: 'bob' })
    const tag = made.headers.get('etag')
    expect(tag).to.match(/^"[0-9a-f]{32}"$/)
    expect(await tagOf('/consumers/bob')).to.equal(tag)
    expect(await tagOf(`/consumers/${made.body.id}`)).to.equal(tag)
    const changed = await admin.json('PATCH', '/consumers/bob', { custom_id: 'b1' })
    expect(changed.headers.get('etag')).not.to.equal(tag)
    expect(await tagOf('/consumers/bob')).to.equal(changed.headers.get('etag'))
  })

  it('saves a client from reading what it has', async () => {
    await admin.json('POST', '/consumers', { username: 'bob' })
    const known = (tag: string) => admin.fetch('GET', '/consumers/bob', { headers: { 'if-none-match': tag } })
    const tag = await tagOf('/consumers/bob')
    expect(await known(tag)).to.include({ status: 304, text: '' })
    expect((await known(`"other", ${tag}`)).status).to.equal(304)
    expect((await known('"other"')).status).to.equal(200)
  })

  it('lets a change through that is made on what is there, and no other', async () => {
    const { body } = await admin.json('POST', '/consumers', { username: 'bob' })
    const stale = await tagOf('/consumers/bob')
    expect((await send('PATCH', '/consumers/bob', stale, { custom_id: '1' })).status).to.equal(200)
    const head = await events()
    const replacement = { ...body, custom_id: '9' }
    for (const [method, path, input] of [
      ['PATCH', '/consumers/bob', { custom_id: '2' }],
      ['PUT', '/consumers', replacement],
      ['DELETE', '/consumers/bob', undefined],
    ] as const) {
      const refused = await send(method, path, stale, input)
      expect(refused.status, method).to.equal(412)
      expect(refused.body.message).to.include('If-Match')
    }
    expect(await events()).to.equal(head)
    const fresh = await tagOf('/consumers/bob')
    expect((await send('PUT', '/consumers', `${stale}, ${fresh}`, replacement)).status).to.equal(200)
    expect((await send('DELETE', '/consumers/bob', '*')).status).to.equal(204)
    expect((await send('DELETE', '/consumers/bob', '*')).status).to.equal(404)
    // There is nothing that it could match.
    const id = '00000000-0000-4000-8000-000000000000'
    expect((await send('PUT', '/consumers', '*', { ...replacement, id })).status).to.equal(412)
  })

  it('lets one of many win who change what they all have seen', async () => {
    await admin.json('POST', '/consumers', { username: 'bob' })
    const tag = await tagOf('/consumers/bob')
    const replies = await Promise.all(
      Array.from({ length: 10 }, (_, i) => send('PATCH', '/consumers/bob', tag, { custom_id: `${i}` })),
    )
    const statuses = replies.map(({ status }) => status).sort()
    expect(statuses).to.deep.equal([200, ...Array(9).fill(412)])
  })
})
