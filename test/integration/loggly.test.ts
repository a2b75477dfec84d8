// loggly against a UDP socket in Loggly's place.
import { expect } from 'chai'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { systemRandom } from '../../src/base/random.ts'
import { validate } from '../../src/entities/validate.ts'
import { loggly } from '../../src/plugins/loggly/loggly.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { Datagrams } from '../support/datagrams.ts'
import { TestGateway } from '../support/gateway.ts'
import { ask } from '../support/raw-http.ts'

describe('loggly', () => {
  let upstream: Upstream
  let receiver: Datagrams
  let gateway: TestGateway
  let api: Row

  beforeEach(async () => {
    upstream = await new Upstream().start()
    receiver = await new Datagrams().start()
    gateway = await new TestGateway().start()
    api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
  })

  afterEach(async () => {
    await gateway.stop()
    await receiver.stop()
    await upstream.stop()
  })

  const config = (input: JsonObject) =>
    validate({ fields: loggly.config }, input, { mode: 'create' }, systemRandom) as JsonObject
  const add = (input: JsonObject = {}) => {
    const set = { host: '127.0.0.1', port: receiver.port, key: '123456789', ...input }
    return gateway.addPlugin(api, 'loggly', config(set))
  }
  const prioritiesOf = (texts: readonly string[]) => texts.map((text) => text.slice(0, text.indexOf('>') + 1))

  it('a message carries key, tags and record', async () => {
    add({ tags: ['a', 'b "c" \\ ]'] })
    await ask(gateway.port, '/get')
    const [text = ''] = await receiver.first(1)
    const start = text.indexOf(' [')
    expect(text.slice(0, start)).match(/^<14>1 \S+Z \S+ kong - -$/)
    expect(text.slice(start)).match(/^ \[123456789@41058 tag="a" tag="b \\"c\\" \\\\ \\\]"\] \{/)
    const record = JSON.parse(text.slice(text.indexOf('{')))
    expect(record).deep.include({ client_ip: '127.0.0.1' })
  })

  it('has the severity of its status, which is info unless told otherwise [contract 460]', async () => {
    const row = add()
    const answer = async (status: number) => {
      upstream.answer = (_request, response) => response.writeHead(status).end()
      await ask(gateway.port, '/')
    }
    for (const status of [200, 401, 500]) await answer(status)
    expect(prioritiesOf(await receiver.first(3))).deep.equal(['<14>', '<14>', '<14>'])
    const severities = { successful_severity: 'warning', server_errors_severity: 'crit' }
    gateway.catalog.put('plugins', { ...row, config: { ...(row.config as JsonObject), ...severities } })
    for (const status of [200, 401, 500]) await answer(status)
    expect(prioritiesOf((await receiver.first(6)).slice(3))).deep.equal(['<12>', '<14>', '<10>'])
  })

  it('its configuration needs a key that can stand in a message', () => {
    expect(config({ key: 'k' })).include({ host: 'logs-01.loggly.com', port: 514, timeout: 10_000 })
    expect(config({ key: 'k' }).tags).deep.equal(['kong'])
    for (const key of ['a b', 'a]b', 'a"b', 'a@b', 'é', undefined])
      expect(() => config(key === undefined ? {} : { key }), key).throw()
  })
})
