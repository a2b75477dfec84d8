import { expect } from 'chai'
import { systemClock } from '../../../src/base/clock.ts'
import type { JsonObject, Row } from '../../../src/base/json.ts'
import { systemRandom } from '../../../src/base/random.ts'
import { definePlugin, type Plugin, type PluginRequest, Refusal } from '../../../src/plugins/plugin.ts'
import { shippedPlugins } from '../../../src/plugins/plugins.ts'
import { Admission } from '../../../src/proxy/admission.ts'
import { clientAddressRule } from '../../../src/proxy/client-address.ts'
import { Headers } from '../../../src/proxy/headers.ts'
import { PluginChains } from '../../../src/proxy/phases.ts'
import { Repeats } from '../../../src/proxy/repeats.ts'
import type { Incoming } from '../../../src/proxy/request.ts'
import { type Resolution, Resolver } from '../../../src/proxy/resolver.ts'
import { Router } from '../../../src/proxy/router.ts'
import { noWriter } from '../../../src/testing/data-plane.ts'
import { ScriptedCatalog } from '../../../src/testing/scripted-catalog.ts'
import { testCounters } from '../../support/counters.ts'
import { collect } from '../../support/gateway.ts'

const api: Row = { id: 'api', created_at: 1, request_host: 'a.com', upstream_url: 'http://up' }
const bob: Row = { id: 'bob', created_at: 1, username: 'bob', custom_id: null }
const bobsKey: Row = { id: 'key', created_at: 1, consumer_id: 'bob', key: 'k' }
const keyAuth = configured('key-auth', { key_names: ['apikey'], hide_credentials: false })

function configured(name: string, config: JsonObject = {}, more: JsonObject = {}): Row {
  const id = `${name}:${more.consumer_id ?? ''}`
  return { id, created_at: 1, name, api_id: 'api', consumer_id: null, config, enabled: true, ...more }
}

function incoming(target = '/', headers: string[] = []): Incoming {
  return {
    ...{ method: 'GET', target, httpVersion: '1.1', body: null, trailers: () => [], receivedAt: 0 },
    headers: Headers.from(['Host', 'a.com', ...headers]),
    ...{ remoteAddress: '1.2.3.4', localPort: 8000, encrypted: false, upgrade: null },
  }
}

/** Writes its name, and `config.mark`, into a header of the request. */
function marker(name: string, priority: number, more: Partial<Plugin> = {}): Plugin {
  const access = (request: PluginRequest, config: JsonObject) => {
    request.headers.append('X-Ran', `${name}${config.mark ?? ''}`)
    return undefined
  }
  return definePlugin({ name, priority, phases: { access }, ...more })
}

describe('resolver', () => {
  let catalog: ScriptedCatalog
  let lines: Parameters<typeof collect>[0]

  function resolverOf(...plugins: Plugin[]) {
    const router = new Router()
    catalog = new ScriptedCatalog(router)
    catalog.put('apis', api)
    lines = []
    const logger = collect(lines)
    const clock = systemClock
    const chains = new PluginChains([...shippedPlugins, ...plugins], {
      logger,
      clock,
      random: systemRandom,
      counters: testCounters(),
      writer: noWriter,
    })
    const clientAddress = clientAddressRule([])
    const admission = new Admission({
      ...{ catalog, clientAddress, trustedIps: [], minPositionWaitMs: 1000, freshness: undefined, clock },
    })
    const repeats = new Repeats(clock)
    const resolver = new Resolver({ catalog, router, chains, admission, clientAddress, logger, repeats })
    const client = { gone: new AbortController().signal }
    return { resolve: (incoming: Incoming) => resolver.resolve(incoming, client) }
  }

  function putKeyAuth(): void {
    for (const [entity, row] of [
      ['plugins', keyAuth],
      ['consumers', bob],
      ['keyauth_credentials', bobsKey],
    ] as const) {
      catalog.put(entity, row)
    }
  }

  const ran = ({ request }: Resolution) => request?.headers.all('x-ran')

  it('a request whose lookups are all in memory is resolved in the same tick', () => {
    const resolver = resolverOf(marker('after', 900))
    putKeyAuth()
    catalog.put('plugins', configured('after'))
    const resolution = resolver.resolve(incoming('/', ['apikey', 'k']))
    expect(resolution).not.instanceOf(Promise)
    expect((resolution as Resolution).answer).equal(undefined)
    expect((resolution as Resolution).request?.consumer).equal(bob)
  })

  it('plugins run by priority, equal ones in the order of the list', async () => {
    const plugins = [marker('late', 5), marker('first', 50), marker('tie-b', 10), marker('tie-a', 10)]
    const resolver = resolverOf(...plugins)
    for (const name of ['tie-a', 'late', 'tie-b', 'first']) catalog.put('plugins', configured(name))
    expect(ran(await resolver.resolve(incoming()))).deep.equal(['first', 'tie-b', 'tie-a', 'late'])
  })

  describe('with a consumer', () => {
    let resolver: ReturnType<typeof resolverOf>
    const asBob = () => resolver.resolve(incoming('/', ['apikey', 'k']))

    beforeEach(() => {
      const plugins = [
        marker('early', 2000),
        marker('limit', 900),
        marker('shared', 800, { perConsumer: false }),
      ]
      resolver = resolverOf(...plugins)
      putKeyAuth()
    })

    it('its configuration replaces that of the API, for that plugin alone', async () => {
      for (const name of ['limit', 'shared']) catalog.put('plugins', configured(name, { mark: '-api' }))
      catalog.put('plugins', configured('limit', { mark: '-bob' }, { consumer_id: 'bob' }))
      expect(ran(await asBob())).deep.equal(['limit-bob', 'shared-api'])
    })

    const everywhere = (name: string, mark: string, more: JsonObject = {}): Row => ({
      ...configured(name, { mark }, { api_id: null, ...more }),
      id: `${name}:${mark}`,
    })

    it('of each plugin one applies: of it and the API, else of it, else of the API, else of all', async () => {
      const rows: Row[] = [
        configured('limit', { mark: '-bob-api' }, { consumer_id: 'bob' }),
        everywhere('limit', '-bob', { consumer_id: 'bob' }),
        configured('limit', { mark: '-api' }),
        everywhere('limit', '-all'),
      ]
      // In whichever order the list has them.
      for (const order of [rows, rows.toReversed()]) {
        for (const row of order) catalog.put('plugins', row)
        for (const row of rows) {
          expect(ran(await asBob())).deep.equal([`limit${(row.config as JsonObject).mark}`])
          catalog.put('plugins', { ...row, enabled: false })
        }
        expect(ran(await asBob())).deep.equal([])
        catalog.remove('plugins', ({ name }) => name === 'limit')
      }
    })

    it('its configuration for another API, and that of another consumer, do not apply', async () => {
      const other = { ...everywhere('limit', '-other', { consumer_id: 'bob' }), api_id: 'other' }
      catalog.put('plugins', other)
      catalog.put('plugins', everywhere('limit', '-eve', { consumer_id: 'eve' }))
      expect(ran(await asBob())).deep.equal([])
    })

    it('it costs two lookups of plugins, however many apply', async () => {
      const asked: string[] = []
      catalog.onLookup = (key) => void asked.push(key)
      for (const consumer_id of [null, 'bob']) {
        catalog.put('plugins', everywhere('limit', `-${consumer_id}`, { consumer_id }))
      }
      await asBob()
      expect(asked.filter((key) => key.includes('plugins'))).deep.equal([
        'plugins:api',
        'consumer_plugins:bob',
      ])
    })

    it('its configuration works without one of the API', async () => {
      catalog.put('plugins', configured('limit', { mark: '-bob' }, { consumer_id: 'bob' }))
      expect(ran(await asBob())).deep.equal(['limit-bob'])
    })

    it('a disabled configuration is as if absent [contract 83, 84]', async () => {
      catalog.put('plugins', configured('limit', { mark: '-api' }))
      catalog.put('plugins', configured('limit', { mark: '-bob' }, { consumer_id: 'bob', enabled: false }))
      expect(ran(await asBob())).deep.equal(['limit-api'])
      catalog.put('plugins', configured('limit', {}, { enabled: false }))
      expect(ran(await asBob())).deep.equal([])
    })

    it('the API’s applies again once the consumer’s is deleted [contract 82]', async () => {
      catalog.put('plugins', configured('limit', { mark: '-api' }))
      const own = configured('limit', { mark: '-bob' }, { consumer_id: 'bob' })
      catalog.put('plugins', own)
      expect(ran(await asBob())).deep.equal(['limit-bob'])
      catalog.remove('plugins', ({ id }) => id === own.id)
      expect(ran(await asBob())).deep.equal(['limit-api'])
    })

    it('plugins that ran before it was known, or do not take consumers, are not specialised', async () => {
      for (const name of ['early', 'shared']) {
        catalog.put('plugins', configured(name, { mark: '-api' }))
        catalog.put('plugins', configured(name, { mark: '-bob' }, { consumer_id: 'bob' }))
      }
      expect(ran(await asBob())).deep.equal(['early-api', 'shared-api'])
    })

    it('an anonymous request sees the configuration of the API [contract 115]', async () => {
      catalog.remove('plugins', ({ name }) => name === 'key-auth')
      catalog.put('plugins', configured('limit', { mark: '-1' }))
      catalog.put('plugins', configured('limit', { mark: '-10' }, { consumer_id: 'bob' }))
      expect(ran(await asBob())).deep.equal(['limit-1'])
    })

    it('the last of several authentication plugins decides whose configuration applies', async () => {
      const eve: Row = { id: 'eve', created_at: 1, username: 'eve', custom_id: null }
      const setEve = definePlugin({
        ...{ name: 'set-eve', priority: 999 },
        phases: {
          access(request) {
            request.consumer = eve
            return undefined
          },
        },
      })
      resolver = resolverOf(setEve, marker('limit', 900))
      putKeyAuth()
      for (const row of [
        configured('set-eve'),
        configured('limit', { mark: '-bob' }, { consumer_id: 'bob' }),
        configured('limit', { mark: '-eve' }, { consumer_id: 'eve' }),
      ]) {
        catalog.put('plugins', row)
      }
      expect(ran(await asBob())).deep.equal(['limit-eve'])
    })
  })

  it('a refusal ends the access phase, and all plugins stay in line for the later phases', async () => {
    const resolver = resolverOf(marker('after', 900))
    putKeyAuth()
    catalog.put('plugins', configured('after'))
    const resolution = await resolver.resolve(incoming())
    expect(resolution.answer?.status).equal(401)
    expect(ran(resolution)).deep.equal([])
    expect(resolution.steps.map(({ plugin }) => plugin.name)).deep.equal(['key-auth', 'after'])
  })

  it('an answer of a plugin ends the access phase too, given now or later', async () => {
    for (const answer of [{ status: 204 }, Promise.resolve({ status: 204 })]) {
      const answering = definePlugin({ name: 'answering', priority: 5, phases: { access: () => answer } })
      const resolver = resolverOf(answering, marker('after', 1))
      catalog.put('plugins', configured('answering'))
      catalog.put('plugins', configured('after'))
      const resolution = await resolver.resolve(incoming())
      expect(resolution.answer).deep.equal({ status: 204 })
      expect(ran(resolution)).deep.equal([])
    }
  })

  it('a plugin that this node does not have refuses the request, and is said once', async () => {
    const resolver = resolverOf()
    catalog.put('plugins', configured('not-here'))
    for (let i = 0; i < 3; i++) expect((await resolver.resolve(incoming())).answer?.status).equal(500)
    expect(lines.map(({ sentence }) => sentence)).deep.equal([
      'requests refused: a configured plugin is not installed',
    ])
  })

  it('a missing plugin that is disabled, or another consumer’s, refuses nothing', async () => {
    const resolver = resolverOf()
    catalog.put('plugins', configured('not-here', {}, { enabled: false }))
    catalog.put('plugins', configured('not-here', {}, { consumer_id: 'eve' }))
    expect((await resolver.resolve(incoming())).answer).equal(undefined)
  })

  it('a missing plugin configured for the consumer refuses the consumer', async () => {
    const resolver = resolverOf()
    putKeyAuth()
    catalog.put('plugins', configured('not-here', {}, { consumer_id: 'bob' }))
    expect((await resolver.resolve(incoming('/?apikey=k'))).answer?.status).equal(500)
  })

  it('a plugin that throws or rejects is a 500 for this request, with its name in the log', async () => {
    const boom = () => {
      throw new Error('boom')
    }
    for (const access of [boom, async () => boom()]) {
      const resolver = resolverOf(definePlugin({ name: 'broken', priority: 5, phases: { access } }))
      catalog.put('plugins', configured('broken'))
      const { answer } = await resolver.resolve(incoming())
      expect(answer).deep.include({ status: 500, body: { message: 'An unexpected error occurred' } })
      expect(lines[0]?.fields).include({ plugin: 'broken' })
    }
  })

  it('what fails outside of plugins is a 500 too, in the first attempt and in a later one', async () => {
    const resolver = resolverOf()
    let views = 0
    const { view } = catalog
    catalog.view = () => {
      views++
      return views % 2 === 1 ? view.call(catalog) : (null as never)
    }
    let held = 0
    catalog.onLookup = async () => catalog.put('apis', { ...api, upstream_url: `http://up-${held++}` })
    expect((await resolver.resolve(incoming())).answer?.status).equal(500)
    catalog.view = () => null as never
    expect((await resolver.resolve(incoming())).answer?.status).equal(500)
    expect(lines.map(({ sentence }) => sentence)).deep.equal([
      'a request could not be resolved, it was answered 500',
    ])
  })

  it('what is not known is 503, never 401, 403 or 404, and known again afterwards', async () => {
    const resolver = resolverOf()
    putKeyAuth()
    const back = catalog.away()
    expect((await resolver.resolve(incoming('/?apikey=k'))).answer?.status).equal(503)
    back()
    catalog.onLookup = (key) => {
      if (key.startsWith('keyauth_credentials'))
        return Promise.reject(Object.assign(new Error(), { code: 'unknown' }))
      return undefined
    }
    expect((await resolver.resolve(incoming('/?apikey=k'))).answer?.status).equal(503)
    catalog.onLookup = () => undefined
    expect((await resolver.resolve(incoming('/?apikey=k'))).answer).equal(undefined)
  })

  it('a catalog that hears no changes is 503, also where no API would match', async () => {
    const resolver = resolverOf()
    catalog.view = () => {
      throw Object.assign(new Error(), { code: 'unknown' })
    }
    const unknown = incoming('/', ['Host', 'nobody.com'])
    expect((await resolver.resolve(unknown)).answer?.status).equal(503)
  })

  describe('when things change under a request', () => {
    const deleteApi = () => {
      catalog.remove('plugins', ({ api_id }) => api_id === 'api')
      catalog.remove('apis', ({ id }) => id === 'api')
    }

    it('API and key-auth deleted together while it waits for its plugins: 404, never proxied', async () => {
      const resolver = resolverOf()
      putKeyAuth()
      let held = 0
      catalog.onLookup = async () => {
        if (held++ === 0) deleteApi()
      }
      expect((await resolver.resolve(incoming())).answer?.status).equal(404)
    })

    it('an API deleted and made anew with the same host, key-auth and all, is met with its own key-auth', async () => {
      const resolver = resolverOf()
      putKeyAuth()
      let held = 0
      catalog.onLookup = async () => {
        if (held++ > 0) return
        deleteApi()
        catalog.put('apis', { ...api, id: 'again' })
        catalog.put('plugins', { ...keyAuth, id: 'again', api_id: 'again' })
      }
      expect((await resolver.resolve(incoming())).answer?.status).equal(401)
    })

    it('a key deleted after it was found does not let the request through', async () => {
      const resolver = resolverOf()
      putKeyAuth()
      let held = 0
      catalog.onLookup = async (key) => {
        if (key.startsWith('consumers:') && held++ === 0) catalog.remove('keyauth_credentials', () => true)
      }
      expect((await resolver.resolve(incoming('/?apikey=k'))).answer?.status).equal(403)
    })

    it('a refusal by what is gone by the time it is given is not given', async () => {
      const resolver = resolverOf()
      putKeyAuth()
      let held = 0
      catalog.onLookup = async (key) => {
        if (key === 'keyauth_credentials:new' && held++ === 0)
          catalog.put('keyauth_credentials', { ...bobsKey, id: 'other', key: 'new' })
        if (key === 'consumers:bob' && held++ === 1) catalog.remove('plugins', () => true)
      }
      const resolution = await resolver.resolve(incoming('/?apikey=new'))
      expect(resolution.answer).equal(undefined)
      expect(resolution.request?.consumer).equal(null)
    })

    it('an API that changed while it waited is proxied as it is now', async () => {
      const resolver = resolverOf()
      let held = 0
      catalog.onLookup = async () => {
        if (held++ === 0) catalog.put('apis', { ...api, upstream_url: 'http://new' })
      }
      const { request, answer } = await resolver.resolve(incoming())
      expect(answer).equal(undefined)
      expect(request?.api.upstream_url).equal('http://new')
    })

    it('each attempt gets a fresh request: nothing that a plugin did before is left', async () => {
      const resolver = resolverOf(marker('mark', 10))
      catalog.put('plugins', configured('mark', { mark: 1 }))
      let held = 0
      catalog.onLookup = async () => {
        if (held++ === 0) catalog.put('apis', { ...api, preserve_host: true })
      }
      expect(ran(await resolver.resolve(incoming()))).deep.equal(['mark1'])
    })

    it('a change of another API or of another key restarts nothing', async () => {
      const resolver = resolverOf()
      putKeyAuth()
      let held = 0
      catalog.onLookup = async () => {
        held++
        catalog.put('apis', { ...api, id: 'other', request_host: `host-${held}.com` })
        catalog.put('keyauth_credentials', { ...bobsKey, id: 'other', key: `key-${held}` })
      }
      expect((await resolver.resolve(incoming('/?apikey=k'))).answer).equal(undefined)
      // Plugins of the API, the key, the consumer, plugins of the consumer.
      expect(held).equal(4)
    })

    it('changes without end are 503 with Retry-After, after a bounded number of attempts', async () => {
      const resolver = resolverOf()
      let held = 0
      catalog.onLookup = async () => {
        held++
        catalog.put('apis', { ...api, upstream_url: `http://up-${held}` })
      }
      const { answer } = await resolver.resolve(incoming())
      expect(answer?.status).equal(503)
      expect(answer?.headers).have.property('Retry-After')
      expect(held).equal(5)
    })
  })

  it('robots.txt is the gateway’s own, and a target that is no path is 400', async () => {
    const resolver = resolverOf()
    expect((await resolver.resolve(incoming('/robots.txt?x'))).answer).include({
      status: 200,
      body: 'User-agent: *\nDisallow: /\n',
    })
    expect((await resolver.resolve(incoming('*'))).answer?.status).equal(400)
  })

  it('the host of a target in absolute form counts, not that of Host', async () => {
    const resolver = resolverOf()
    const named = await resolver.resolve(incoming('http://nobody.com/', []))
    expect(named.answer?.body).deep.include({ request_path: '/', request_host: ['nobody.com'] })
  })

  it('a refusal may be told by throwing or by rejecting', async () => {
    for (const access of [
      () => {
        throw new Refusal(418, 'tea')
      },
      () => Promise.reject(new Refusal(418, 'tea')),
    ]) {
      const resolver = resolverOf(definePlugin({ name: 'teapot', priority: 5, phases: { access } }))
      catalog.put('plugins', configured('teapot'))
      expect((await resolver.resolve(incoming())).answer).deep.include({
        status: 418,
        body: { message: 'tea' },
      })
    }
  })
})
