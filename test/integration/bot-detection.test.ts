import { expect } from 'chai'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { systemRandom } from '../../src/base/random.ts'
import { validate } from '../../src/entities/validate.ts'
import { botDetection } from '../../src/plugins/bot-detection/bot-detection.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import { ask } from '../support/raw-http.ts'

const browser =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36'
const crawler = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)'

describe('bot-detection', () => {
  let upstream: Upstream
  let gateway: TestGateway
  let row: Row

  before(async () => {
    upstream = await new Upstream().start()
    gateway = await new TestGateway().start()
    const api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
    row = gateway.addPlugin(api, 'bot-detection')
  })
  after(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  const configure = (config: JsonObject) => gateway.catalog.put('plugins', { ...row, config })
  const get = (...agents: string[]) =>
    ask(gateway.port, '/', { headers: ['Host', 'test', ...agents.flatMap((agent) => ['User-Agent', agent])] })
  const statuses = async (...agents: string[]) => {
    const answers = await Promise.all(agents.map((agent) => get(agent)))
    return answers.map(({ status }) => status)
  }

  it('known bots are refused, others and who says nothing pass', async () => {
    configure({})
    const refused = await get(crawler)
    expect([refused.status, refused.body]).deep.equal([403, '{"message":"Forbidden"}\n'])
    expect(await statuses(browser, 'curl/8', crawler.toUpperCase())).deep.equal([200, 200, 403])
    expect((await get()).status).equal(200)
  })

  it('who is on the blacklist is refused, too, and the verdict is the same each time', async () => {
    configure({ blacklist: ['^curl/\\d', 'Chrome/1[0-3]\\d'] })
    for (let i = 0; i < 2; i++) {
      expect(await statuses('curl/8', 'libcurl/8', browser, 'Chrome/131')).deep.equal([403, 200, 200, 403])
    }
  })

  it('who is on the whitelist passes, whatever else he is', async () => {
    configure({ whitelist: ['Googlebot', 'me$'], blacklist: ['Google', 'it is'] })
    expect(await statuses(crawler, 'it is me', 'Google', 'bingbot')).deep.equal([200, 200, 403, 403])
  })

  it('a change of a list counts with the next request', async () => {
    configure({ blacklist: ['curl'] })
    expect(await statuses('curl/8')).deep.equal([403])
    configure({ blacklist: ['wget'] })
    expect(await statuses('curl/8')).deep.equal([200])
  })

  it('who calls himself two names is told that that is one too many', async () => {
    configure({})
    const { status, body } = await get('a', 'b')
    expect([status, body]).deep.equal([400, '{"message":"Only one User-Agent header allowed"}\n'])
  })

  it('what is no pattern is refused when it is written; by hand in the table, it lets nobody pass', async () => {
    const check = (config: JsonObject) =>
      validate({ fields: botDetection.config }, config, { mode: 'create' }, systemRandom)
    expect(() => check({ whitelist: ['a+b', 'b'], blacklist: [] })).not.throw()
    expect(() => check({ blacklist: ['a', '(b'] })).throw("'(b' is no pattern: a ( without its )")
    configure({ blacklist: ['(b'] })
    expect(await statuses(browser)).deep.equal([500])
  })
})
