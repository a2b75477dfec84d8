// syslog against a server on a UDP socket.
import { hostname } from 'node:os'
import { expect } from 'chai'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { systemRandom } from '../../src/base/random.ts'
import { validate } from '../../src/entities/validate.ts'
import { syslog } from '../../src/plugins/syslog/syslog.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { Datagrams } from '../support/datagrams.ts'
import { TestGateway } from '../support/gateway.ts'
import { ask } from '../support/raw-http.ts'

describe('syslog', () => {
  let upstream: Upstream
  let server: Datagrams
  let gateway: TestGateway
  let api: Row

  beforeEach(async () => {
    upstream = await new Upstream().start()
    server = await new Datagrams().start()
    gateway = await new TestGateway().start()
    api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url })
  })

  afterEach(async () => {
    await gateway.stop()
    await server.stop()
    await upstream.stop()
  })

  const shape = { fields: { config: { type: 'table', fields: syslog.config } } } as const
  const config = (input: JsonObject) =>
    validate(shape, { config: input }, { mode: 'create' }, systemRandom).config as JsonObject
  const add = (input: JsonObject) =>
    gateway.addPlugin(api, 'syslog', config({ host: '127.0.0.1', port: server.port, ...input }))
  const uris = () => server.all.map((text) => JSON.parse(text.slice(text.indexOf('{'))).request.uri)
  const all = (severity: string) => ({
    ...{ successful_severity: severity, client_errors_severity: severity, server_errors_severity: severity },
  })

  it('a message is one of RFC 5424, and the record', async () => {
    add({})
    await ask(gateway.port, '/get')
    const [text = ''] = await server.first(1)
    const [, head, record] = /^(\S+ \S+ \S+ \S+ \S+ \S+ \S+) (.*)$/s.exec(text) ?? []
    expect(head).match(/^<14>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S+ kong - - -$/)
    expect(head).include(` ${hostname()} `)
    expect(JSON.parse(record ?? '')).deep.include({ client_ip: '127.0.0.1' })
  })

  it('a warning is sent with log_level info [contract 457]', async () => {
    add({ log_level: 'info', ...all('warning') })
    await ask(gateway.port, '/')
    expect((await server.first(1))[0]).match(/^<12>1 /)
  })

  it('a warning is not sent with log_level err, but what is as urgent as that is [contract 458]', async () => {
    add({ log_level: 'err', ...all('warning'), client_errors_severity: 'err' })
    await ask(gateway.port, '/unsent')
    upstream.answer = (_request, response) => response.writeHead(404).end()
    await ask(gateway.port, '/sent')
    expect((await server.first(1))[0]).match(/^<11>1 /)
    expect(uris()).deep.equal(['/sent'])
  })

  it('a warning is sent with log_level warning [contract 459]', async () => {
    add({ log_level: 'warning', ...all('warning') })
    await ask(gateway.port, '/')
    expect((await server.first(1))[0]).match(/^<12>1 /)
  })

  it('each class of statuses has its own severity', async () => {
    add({
      log_level: 'debug',
      ...{ successful_severity: 'debug', client_errors_severity: 'notice', server_errors_severity: 'emerg' },
    })
    for (const status of [200, 302, 400, 499, 500, 503]) {
      upstream.answer = (_request, response) => response.writeHead(status).end()
      await ask(gateway.port, '/')
    }
    const priorities = (await server.first(6)).map((text) => text.slice(0, text.indexOf('>') + 1))
    expect(priorities).deep.equal(['<15>', '<15>', '<13>', '<13>', '<8>', '<8>'])
  })

  it('goes to the server of this machine where none is named, and shows none', async () => {
    expect(config({})).deep.equal({ log_level: 'info', ...all('info') })
    gateway.addPlugin(api, 'syslog', config({}))
    expect((await ask(gateway.port, '/')).status).equal(200)
  })

  it('its configuration has no other severities', () => {
    const wrong = () => config({ log_level: 'error' })
    expect(wrong)
      .throw()
      .with.property('errors')
      .with.property('config.log_level')
      .that.match(/"error" is not allowed/)
  })
})
