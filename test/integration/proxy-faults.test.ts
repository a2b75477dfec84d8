// What rows, plugins and clients do wrong costs their own request. An exception that leaves an event handler, or a
// rejection that nobody hears, would end the worker; mocha fails the test in which either happens.
import { expect } from 'chai'
import type { JsonObject, Row } from '../../src/base/json.ts'
import { definePlugin, type Phases, type PluginAnswer } from '../../src/plugins/plugin.ts'
import { Upstream } from '../../src/testing/upstream.ts'
import { TestGateway } from '../support/gateway.ts'
import type { Answered, Asked } from '../support/raw-http.ts'
import { inEachWay } from '../support/ways.ts'

inEachWay('proxy: faults that cost one request', (way) => {
  let upstream: Upstream
  let gateway: TestGateway
  /** Of the plugin `odd`: a test sets the phases that it is about. */
  let phases: Phases

  beforeEach(async () => {
    phases = {}
    const odd = definePlugin({
      name: 'odd',
      priority: 5,
      phases: {
        access: (...told) => phases.access?.(...told),
        headers: (...told) => phases.headers?.(...told),
        log: (...told) => phases.log?.(...told),
      },
    })
    upstream = await new Upstream().start()
    gateway = await new TestGateway({ lane: way.lane, plugins: [odd] }).start()
  })

  // Stops only when each request was told to be through.
  afterEach(async () => {
    await gateway.stop()
    await upstream.stop()
  })

  function addApi(row: Row = {}): Row {
    const api = gateway.addApi({ request_host: 'test', upstream_url: upstream.url, ...row })
    gateway.addPlugin(api, 'recorder')
    return api
  }

  const ask = (target: string, asked?: Asked) => way.ask(gateway, target, asked)
  const status = async (host = 'test') => (await ask('/', { headers: ['Host', host] })).status
  const statusOf = (record: JsonObject) => (record.response as Row).status
  const sentences = () => gateway.lines.map(({ sentence }) => sentence)

  describe('a row written by hand whose upstream_url cannot be used', () => {
    for (const upstream_url of [
      'http://host:',
      'http:///x',
      'ftp://x',
      'http://a:99999',
      'http://a/\n',
      '',
      null,
    ]) {
      it(`${JSON.stringify(upstream_url)} is 500 for that API, logged and named; others go on`, async () => {
        const api = addApi({
          upstream_url,
          preserve_host: true,
          request_path: '/a',
          strip_request_path: true,
        })
        gateway.addApi({ request_host: 'other', upstream_url: upstream.url })
        expect(await status()).equal(500)
        expect(statusOf(await gateway.record())).equal(500)
        expect((await ask('/a', { headers: ['Host', 'none'] })).status).equal(500)
        expect(await status('other')).equal(200)
        const sentence = 'requests answered 500: the upstream_url of their API cannot be used'
        expect(gateway.lines).deep.equal([{ sentence, fields: { api: api.id, keptBack: 0 } }])
      })
    }

    it('is still guarded by its plugins, and is proxied once it is put right', async () => {
      const api = addApi({ upstream_url: 'http://host:' })
      const row = gateway.addPlugin(api, 'key-auth', { key_names: ['apikey'], hide_credentials: false })
      expect(await status()).equal(401)
      gateway.catalog.remove('plugins', ({ id }) => id === row.id)
      gateway.catalog.put('apis', { ...api, upstream_url: upstream.url })
      expect(await status()).equal(200)
    })
  })

  /** All that follows is asked for twice: what one request broke must not be missing for the next. */
  async function twice(plugged = addApi()): Promise<Answered[]> {
    gateway.addPlugin(plugged, 'odd')
    return [await ask('/'), await ask('/')]
  }

  describe('an answer of a plugin that is none', () => {
    const circle: { itself?: object } = {}
    circle.itself = circle
    const answers: Record<string, unknown> = {
      'a body that JSON has no word for': { status: 200, body: { n: 1n } },
      'a body that contains itself': { status: 200, body: circle },
      'a number as body': { status: 200, body: 5 },
      'no headers at all': { status: 200, headers: null },
      'a header that breaks the line': { status: 200, headers: { 'X-A': 'a\r\nX-B: b' } },
      'such a header and no body': { status: 204, headers: { 'X-A': 'a\r\nX-B: b' } },
      'a status out of range': { status: 99 },
      'no status': 'yes',
    }
    for (const [what, answer] of Object.entries(answers)) {
      it(`${what}: 500 with its page, and logged`, async () => {
        phases.access = () => answer as PluginAnswer
        for (const { status, body } of await twice()) {
          expect({ status, body }).deep.equal({ status: 500, body: 'An unexpected error occurred\n' })
        }
        expect(statusOf(await gateway.record(2))).equal(500)
        expect(sentences()).deep.equal(['a request failed in the gateway'])
      })
    }
  })

  describe('a plugin that leaves a request which is none', () => {
    const leaves: Record<
      string,
      (request: Record<string, unknown> & { headers: { append: unknown } }) => void
    > = {
      'a header without a name': ({ headers }) => (headers.append as (...field: unknown[]) => void)(5, 'x'),
      'a path that is no text': (request) => {
        request.path = Symbol('path')
      },
      'no API': (request) => {
        request.api = null
      },
      'no headers': (request) => {
        request.headers = null as never
      },
    }
    for (const [what, leave] of Object.entries(leaves)) {
      it(`${what}: 500`, async () => {
        phases.access = (request) => void leave(request as never) as undefined
        expect((await twice()).map(({ status }) => status)).deep.equal([500, 500])
      })
    }

    it('a query that cannot be logged: the reply stands, the failure is logged', async () => {
      phases.access = (request) => {
        request.query = 5 as never
        return undefined
      }
      expect((await twice()).map(({ status }) => status)).deep.equal([200, 200])
      await gateway.gateway.stop()
      expect(sentences()).deep.equal(['a request failed in the gateway'])
    })
  })

  it('a plugin that throws in its headers phase: 500, whoever the head was from', async () => {
    phases.headers = () => {
      throw new Error('boom')
    }
    expect((await twice()).map(({ status }) => status)).deep.equal([500, 500])
    phases.access = () => ({ status: 200 })
    expect((await ask('/')).status).equal(500)
    upstream.answer = (_request, response) => response.destroy()
    phases.access = () => undefined
    expect((await ask('/')).status).equal(500)
    const named = gateway.lines.filter(({ sentence }) => sentence === 'a request failed in the gateway')
    expect(new Set(named.map(({ fields }) => fields.plugin))).deep.equal(new Set(['odd']))
  })

  it('a plugin that throws in its access phase, at once or later: 500 for its requests alone, logged by its name', async () => {
    const thrown: NonNullable<Phases['access']>[] = [
      () => {
        throw new Error('boom')
      },
      async () => {
        throw new Error('boom')
      },
    ]
    const other = gateway.addApi({ request_host: 'other', upstream_url: upstream.url })
    for (const access of thrown) {
      phases.access = access
      expect((await twice()).map(({ status }) => status)).deep.equal([500, 500])
      expect(gateway.lines.at(-1)?.fields.plugin).equal('odd')
      expect((await ask('/', { headers: ['Host', String(other.request_host)] })).status).equal(200)
    }
  })

  it('a plugin that throws in its log phase keeps no other from logging', async () => {
    for (const log of [
      () => {
        throw new Error('boom')
      },
      async () => {
        throw new Error('boom')
      },
    ]) {
      phases.log = log
      const before = gateway.records.length
      expect((await twice()).map(({ status }) => status)).deep.equal([200, 200])
      await gateway.record(before + 2)
      expect(gateway.lines.at(-1)).deep.include({ sentence: 'a plugin failed to log' })
      expect(gateway.lines.at(-1)?.fields.plugin).equal('odd')
    }
  })

  it('a plugin that cannot be opened is named, and those that were open are closed', () => {
    const closed: string[] = []
    const make = (name: string, priority: number, open: () => Phases) =>
      definePlugin({ name, priority, open })
    const fine = make('fine', 5000, () => ({ stop: () => void closed.push('fine') }))
    const stuck = make('stuck', 4999, () => {
      throw new Error('no such luck')
    })
    expect(() => new TestGateway({ plugins: [fine, stuck] }))
      .throw('the plugin stuck failed in its phase open')
      .with.nested.property('cause.message', 'no such luck')
    expect(closed).deep.equal(['fine'])
  })

  it('a plugin whose headers phase fails later, or whose log does: the reply stands, both are named', async () => {
    phases.headers = async () => {
      throw new Error('boom')
    }
    phases.log = async () => {
      throw new Error('boom')
    }
    expect((await twice()).map(({ status }) => status)).deep.equal([200, 200])
    await gateway.gateway.stop()
    expect(gateway.lines.map(({ sentence, fields }) => [sentence, fields.plugin])).deep.equal([
      ['a plugin failed after the head had gone', 'odd'],
      ['a plugin failed to log', 'odd'],
    ])
  })

  it('what is thrown may be anything', async () => {
    for (const thrown of [undefined, null, 5, Object.create(null), Symbol('boom')]) {
      phases.access = () => {
        throw thrown
      }
      expect((await twice()).map(({ status }) => status)).deep.equal([500, 500])
    }
  })
})
