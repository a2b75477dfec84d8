// acl on real sockets, behind key-auth, as 0.8's own specs set it up.
import { expect } from 'chai'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { Unknown } from '../../src/catalog/errors.ts'
import { acl } from '../../src/plugins/acl/acl.ts'
import { type Seen, Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import { type Answered, ask } from '../support/raw-http.ts'

const unidentified = {
  message: 'Cannot identify the consumer, add an authentication plugin to use the ACL plugin',
}
const denied = { message: 'You cannot consume this service' }

describe('acl', () => {
  let upstream: Upstream
  let gateway: TestGateway
  let plugin: Row
  let none: Row

  beforeEach(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway().start()
    const api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
    gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
    plugin = gateway.addPlugin(api, 'acl')
    none = makeConsumer('none')
    makeConsumer('one', 'admin')
    makeConsumer('many', 'pro', 'hello', 'blå\r\nX-Evil: 1')
  })

  afterEach(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  /** A consumer whose key is his name. */
  function makeConsumer(name: string, ...groups: string[]): Row {
    const consumer = gateway.addConsumer(name)
    gateway.addKey(consumer, name)
    for (const [i, group] of groups.entries()) {
      const row = { id: `${name}-${group}`, created_at: 1000 + i, consumer_id: consumer.id as string, group }
      gateway.catalog.put('acls', row)
    }
    return consumer
  }

  const configure = (config: JsonObject) => gateway.catalog.put('plugins', { ...plugin, config })
  const get = (name: string, ...headers: string[]) =>
    ask(gateway.port, '/', { headers: ['Host', 'test', 'apikey', name, ...headers] })
  const told = ({ status, body }: Answered) => [status, JSON.parse(body)]
  const groupsSeen = ({ body }: Answered) => (JSON.parse(body) as Seen).headers['x-consumer-groups']

  it('without a consumer, nobody passes [contract 341]', async () => {
    const api = gateway.addApi({ request_host: 'open', upstream_url: upstream.url })
    for (const config of [{ whitelist: ['admin'] }, { blacklist: ['admin'] }]) {
      gateway.addPlugin(api, 'acl', config)
      const answered = await ask(gateway.port, '/', {
        headers: ['Host', 'open', 'X-Consumer-Groups', 'admin', 'X-Consumer-ID', '1'],
      })
      expect(told(answered)).deep.equal([403, unidentified])
      expect(upstream.requests).equal(0)
    }
  })

  const cases: [list: JsonObject, passes: string[], refused: string[]][] = [
    [{ whitelist: ['admin'] }, ['one'], ['none', 'many']],
    [{ blacklist: ['admin'] }, ['none', 'many'], ['one']],
    [{ whitelist: ['x', 'hello', 'y'] }, ['many'], ['one', 'none']],
    [{ blacklist: ['x', 'hello', 'y'] }, ['one', 'none'], ['many']],
    [{ whitelist: ['admin', 'hello', 'x'] }, ['one', 'many'], ['none']],
    [{ blacklist: ['admin', 'hello', 'x'] }, ['none'], ['one', 'many']],
    [{ whitelist: ['admin'], blacklist: [] }, ['one'], ['none']],
    [{ whitelist: ['Admin', 'adm', 'admin '] }, [], ['one']],
  ]
  for (const [list, passes, refused] of cases) {
    it(`with ${JSON.stringify(list)} of ${[...passes, ...refused].join(', ')} ${passes.length} pass [contract 342-351]`, async () => {
      configure(list)
      for (const name of passes) expect((await get(name)).status, name).equal(200)
      for (const name of refused) expect(told(await get(name)), name).deep.equal([403, denied])
      expect(upstream.requests).equal(passes.length)
    })
  }

  it('a row that has both lists, which only SQL can write, is denied by either', async () => {
    configure({ whitelist: ['admin', 'pro'], blacklist: ['pro'] })
    expect((await get('one')).status).equal(200)
    for (const name of ['none', 'many']) expect((await get(name)).status, name).equal(403)
  })

  it('tells the upstream the groups, whatever the client says [contract 343, 346]', async () => {
    configure({ blacklist: ['x'] })
    expect(groupsSeen(await get('one', 'X-Consumer-Groups', 'root', 'x_consumer_groups', 'root'))).equal(
      'admin',
    )
    expect(groupsSeen(await get('none', 'X-Consumer-Groups', 'root'))).equal('')
    const many = await get('many')
    expect(Buffer.from(groupsSeen(many) as string, 'latin1').toString()).equal(
      'pro, hello, blå%0D%0AX-Evil: 1',
    )
    expect(JSON.parse(many.body).headers).not.have.property('x-evil')
  })

  it('a group counts for the very next request: given, changed, taken, the consumer gone [contract 352, 356, 357]', async () => {
    configure({ whitelist: ['hello'] })
    const status = async () => (await get('none')).status
    const row = { id: 'new', created_at: 1000, consumer_id: none.id as string, group: 'hello' }
    expect(await status()).equal(403)
    gateway.catalog.put('acls', row)
    expect(await status()).equal(200)
    gateway.catalog.put('acls', { ...row, group: 'other' })
    expect(await status()).equal(403)
    gateway.catalog.put('acls', row)
    expect(await status()).equal(200)
    gateway.catalog.remove('acls', ({ id }) => id === 'new')
    expect(await status()).equal(403)
    gateway.catalog.remove('consumers', ({ username }) => username === 'many')
    expect((await get('many')).status).equal(403)
  })

  it('what is not known is 503, never a refusal', async () => {
    configure({ whitelist: ['admin'] })
    gateway.catalog.onLookup = (key) => {
      if (key.startsWith('acls:')) throw new Unknown(key)
    }
    expect((await get('one')).status).equal(503)
    expect(upstream.requests).equal(0)
  })

  describe('its configuration', () => {
    it('has one list that is not empty', () => {
      const check = (config: JsonObject) => acl.checkConfig?.(config)
      const both = 'You cannot set both a whitelist and a blacklist'
      const none = 'You must set at least a whitelist or blacklist'
      expect(check({ whitelist: ['a'], blacklist: ['b'] })).equal(both)
      for (const config of [{}, { whitelist: [] }, { whitelist: [], blacklist: [] }])
        expect(check(config)).equal(none)
      for (const config of [{ whitelist: ['a'] }, { blacklist: ['b'], whitelist: [] }])
        expect(check(config)).equal(undefined)
    })
  })
})
